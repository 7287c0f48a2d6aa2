//! Objects as CEL reads them, and the meter that bounds the work on them.
//!
//! Input: JSON. Output: values of `cel` that borrow its texts. Lists and maps are shared, so that to
//! bind one to a loop's variable costs a counter and not a copy. They say they are built-in, because
//! `cel` compares and joins only lists and maps that are.
//!
//! Invariant: each step of a loop over a list or map of the object, and each look for a value in one,
//! is paid for; when nothing is left loops end and fields are no longer found, and
//! [`Meter::is_empty`] says that the verdict is none.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cel::ExecutionError;
use cel::common::traits::{self, Adder, Container, Indexer, Iterable, Sizer, Zeroer};
use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, Type,
};
use cel::common::value::{Builtin, BuiltinRef, CowVal, Val};
use serde_json::Value;

/// A value of CEL.
pub(super) type Boxed<'v> = Box<dyn Val + 'v>;

/// Steps that are left.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter(Arc<AtomicU64>);

impl Meter {
    /// Begins anew.
    pub(super) fn fill(&self, steps: u64) {
        self.0.store(steps, Ordering::Relaxed);
    }

    /// Whether the steps did not suffice.
    pub(super) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    fn pay(&self, steps: u64) -> bool {
        let left = self.0.load(Ordering::Relaxed).saturating_sub(steps);
        self.0.store(left, Ordering::Relaxed);
        left > 0
    }
}

/// JSON as a value.
pub(super) fn json<'v>(value: &'v Value, meter: &Meter) -> Boxed<'v> {
    match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(yes) => Box::new(CelBool::from(*yes)),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => int(whole),
            (None, double) => Box::new(CelDouble::from(double.unwrap_or(f64::NAN))),
        },
        Value::String(text) => string(text),
        Value::Array(entries) => list(entries.iter().map(|it| json(it, meter)), meter),
        Value::Object(members) => {
            map(members.iter().map(|(key, it)| (key.as_str(), json(it, meter))), meter)
        }
    }
}

/// A text.
pub(super) fn string(text: &str) -> Boxed<'_> {
    Box::new(CelString::from(text))
}

/// A whole number.
pub(super) fn int<'v>(number: i64) -> Boxed<'v> {
    Box::new(CelInt::from(number))
}

/// A list.
pub(super) fn list<'v>(entries: impl IntoIterator<Item = Boxed<'v>>, meter: &Meter) -> Boxed<'v> {
    let entries: Vec<Boxed<'v>> = entries.into_iter().collect();
    Box::new(List { inner: Arc::new(CelList::from(entries)), meter: meter.clone() })
}

/// A map.
pub(super) fn map<'v>(
    members: impl IntoIterator<Item = (&'v str, Boxed<'v>)>,
    meter: &Meter,
) -> Boxed<'v> {
    let members: HashMap<CelMapKey<'v>, Boxed<'v>> =
        members.into_iter().map(|(key, value)| (CelMapKey::from(key), value)).collect();
    Box::new(Map { inner: Arc::new(CelMap::from(members)), meter: meter.clone() })
}

#[derive(Clone, Debug)]
struct List<'v> {
    inner: Arc<CelList<'v>>,
    meter: Meter,
}

#[derive(Clone, Debug)]
struct Map<'v> {
    inner: Arc<CelMap<'v>>,
    meter: Meter,
}

/// Elements, as long as somebody pays.
struct Paid<'b, 'v> {
    inner: Box<dyn traits::Iterator<'b, 'v> + 'b>,
    meter: &'b Meter,
}

impl<'b, 'v: 'w, 'w> traits::Iterator<'b, 'w> for Paid<'b, 'v> {
    fn next(&mut self) -> Option<&'b (dyn Val + 'w)> {
        if !self.meter.pay(1) {
            return None;
        }
        let next: &'b (dyn Val + 'v) = self.inner.next()?;
        Some(next)
    }
}

fn spent() -> ExecutionError {
    ExecutionError::function_error("rule", "too much work")
}

/// What lists and maps do alike: all of it in what they hold, and paid for where it walks.
macro_rules! as_held {
    ($Held:ident, $Kind:ident) => {
        fn get_type(&self) -> &Type {
            self.inner.get_type()
        }

        fn cel_type() -> &'static Type {
            <$Held<'_> as Val>::cel_type()
        }

        fn as_iterable<'b, 'w>(&'b self) -> Option<&'b (dyn Iterable + 'w)>
        where
            Self: 'w,
        {
            Some(self)
        }

        fn as_sizer(&self) -> Option<&dyn Sizer> {
            self.inner.as_sizer()
        }

        fn as_zeroer(&self) -> Option<&dyn Zeroer> {
            self.inner.as_zeroer()
        }

        fn equals(&self, other: &dyn Val) -> bool {
            self.meter.pay(self.inner.len() as u64) && self.inner.equals(other)
        }

        fn clone_as_boxed<'w>(&self) -> Boxed<'w>
        where
            Self: 'w,
        {
            Box::new(self.clone())
        }

        fn as_builtin<'b, 'w>(&'b self) -> BuiltinRef<'b, 'w>
        where
            Self: 'w,
        {
            BuiltinRef::$Kind(&self.inner)
        }

        fn into_builtin<'w>(self: Box<Self>) -> Option<Builtin<'w>>
        where
            Self: 'w,
        {
            Some(Builtin::$Kind($Held::clone(&self.inner)))
        }
    };
}

impl Val for List<'_> {
    as_held!(CelList, List);

    fn as_adder<'b, 'w>(&'b self) -> Option<&'b (dyn Adder + 'w)>
    where
        Self: 'w,
    {
        self.meter.pay(self.inner.len() as u64).then(|| self.inner.as_adder()).flatten()
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn as_indexer<'b, 'w>(&'b self) -> Option<&'b (dyn Indexer + 'w)>
    where
        Self: 'w,
    {
        self.inner.as_indexer()
    }
}

impl<'v> Iterable for List<'v> {
    fn iter<'b, 'w>(&'b self) -> Box<dyn traits::Iterator<'b, 'w> + 'b>
    where
        Self: 'w,
    {
        let inner: Box<dyn traits::Iterator<'b, 'v> + 'b> = Iterable::iter(&*self.inner);
        Box::new(Paid::<'b, 'v> { inner, meter: &self.meter })
    }
}

impl Container for List<'_> {
    fn contains(&self, value: &dyn Val) -> Result<bool, ExecutionError> {
        if !self.meter.pay(self.inner.len() as u64) {
            return Err(spent());
        }
        Container::contains(&*self.inner, value)
    }
}

impl Val for Map<'_> {
    as_held!(CelMap, Map);

    fn as_container(&self) -> Option<&dyn Container> {
        self.inner.as_container()
    }

    fn as_indexer<'b, 'w>(&'b self) -> Option<&'b (dyn Indexer + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }
}

impl<'v> Iterable for Map<'v> {
    fn iter<'b, 'w>(&'b self) -> Box<dyn traits::Iterator<'b, 'w> + 'b>
    where
        Self: 'w,
    {
        let inner: Box<dyn traits::Iterator<'b, 'v> + 'b> = Iterable::iter(&*self.inner);
        Box::new(Paid::<'b, 'v> { inner, meter: &self.meter })
    }
}

impl Indexer for Map<'_> {
    fn get<'b, 'w>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'w>, ExecutionError>
    where
        Self: 'w,
    {
        if !self.meter.pay(1) {
            return Err(spent());
        }
        self.inner.get(key)
    }

    fn steal<'w>(self: Box<Self>, key: &dyn Val) -> Result<Boxed<'w>, ExecutionError>
    where
        Self: 'w,
    {
        self.get(key).map(CowVal::into_owned)
    }
}
