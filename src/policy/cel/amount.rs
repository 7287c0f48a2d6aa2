//! `quantity()`: amounts of resources in CEL, compared and added exactly.

use std::any::Any;
use std::cmp::Ordering;

use cel::common::traits::{Adder, Comparer, Multiplier};
use cel::common::types::{CelDouble, CelInt, CelString, DOUBLE_TYPE, INT_TYPE, STRING_TYPE, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{DeclarationError, Env, ExecutionError};

use crate::model::Quantity;

static TYPE: Type = Type::new_unspecified_type("quantity");

/// An amount.
#[derive(Clone, Copy, Debug)]
struct Amount(Quantity);

/// Lets rules call `quantity()`.
pub(super) fn declare(env: &mut Env) -> Result<(), DeclarationError> {
    env.add_overload(NAME, "string_to_quantity", vec![STRING_TYPE], of)?;
    env.add_overload(NAME, "int_to_quantity", vec![INT_TYPE], of)?;
    env.add_overload(NAME, "double_to_quantity", vec![DOUBLE_TYPE], of)
}

/// The function.
pub(super) const NAME: &str = "quantity";

#[expect(clippy::needless_pass_by_value, reason = "what an overload is handed")]
fn of<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let given = arguments.first().ok_or(ExecutionError::MissingArgumentOrTarget)?;
    let text = if let Some(text) = given.downcast_ref::<CelString<'_>>() {
        text.inner().to_owned()
    } else if let Some(number) = given.downcast_ref::<CelInt>() {
        number.inner().to_string()
    } else if let Some(number) = given.downcast_ref::<CelDouble>() {
        number.inner().to_string()
    } else {
        String::new()
    };
    let quantity = Quantity::parse(&text).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        ExecutionError::function_error(NAME, format!("{shown:?} is no quantity"))
    })?;
    Ok(CowVal::owned(Amount(quantity)))
}

impl StaticVal for Amount {}

impl Val for Amount {
    fn get_type(&self) -> &Type {
        &TYPE
    }

    fn cel_type() -> &'static Type {
        &TYPE
    }

    fn as_adder<'b, 'v>(&'b self) -> Option<&'b (dyn Adder + 'v)> {
        Some(self)
    }

    fn as_multiplier<'b, 'v>(&'b self) -> Option<&'b (dyn Multiplier + 'v)> {
        Some(self)
    }

    fn as_comparer(&self) -> Option<&dyn Comparer> {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        other.downcast_ref::<Self>().is_some_and(|other| other.0 == self.0)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(*self)
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

fn unlike(operator: &str, other: &dyn Val) -> ExecutionError {
    let types = vec![NAME.to_owned(), other.get_type().name().to_owned()];
    ExecutionError::no_such_overload(operator, types)
}

impl Comparer for Amount {
    fn compare(&self, other: &dyn Val) -> Result<Ordering, ExecutionError> {
        let other = other.downcast_ref::<Self>().ok_or_else(|| unlike("_<_", other))?;
        Ok(self.0.cmp(&other.0))
    }
}

impl Adder for Amount {
    fn add<'b, 'v>(&'b self, other: &(dyn Val + 'v)) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let other = other.downcast_ref::<Self>().ok_or_else(|| unlike("_+_", other))?;
        Ok(CowVal::owned(Self(self.0 + other.0)))
    }
}

impl Multiplier for Amount {
    fn mul<'b, 'v>(&'b self, other: &(dyn Val + 'v)) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let count = other.downcast_ref::<CelInt>().ok_or_else(|| unlike("_*_", other))?;
        Ok(CowVal::owned(Self(self.0.times(*count.inner()))))
    }
}
