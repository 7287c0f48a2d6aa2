//! A working copy of an object that remembers, as the smallest RFC 6902 patch, how it was changed.
//!
//! Input: the object as it came in. Output: the changed object and its [`Op`]s. Parents are made
//! before members, `add` stands in for `replace` where nothing was there, arrays are never rewritten
//! or reordered, and a change that changes nothing leaves no operation.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::{Pointer, Token};

/// One RFC 6902 operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Sets a member, or puts an element before the one at that index; `-` is the end of a list.
    Add {
        /// Where; an index equal to the list's length is its end.
        at: Pointer,
        /// What.
        value: Value,
        /// The element goes to the end of its list.
        append: bool,
    },
    /// Sets what is there.
    Replace {
        /// Where.
        at: Pointer,
        /// What.
        value: Value,
    },
    /// Takes out what is there.
    Remove {
        /// Where.
        at: Pointer,
    },
}

impl Op {
    /// The place that the operation changes.
    pub fn at(&self) -> &Pointer {
        match self {
            Self::Add { at, .. } | Self::Replace { at, .. } | Self::Remove { at } => at,
        }
    }

    /// The operation as RFC 6902 writes it.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Add { at, value, append: false } => {
                json!({"op": "add", "path": at.to_json_pointer(), "value": value})
            }
            Self::Add { at, value, append: true } => {
                let list =
                    at.split_last().map(|(list, _)| list.to_json_pointer()).unwrap_or_default();
                json!({"op": "add", "path": format!("{list}/-"), "value": value})
            }
            Self::Replace { at, value } => {
                json!({"op": "replace", "path": at.to_json_pointer(), "value": value})
            }
            Self::Remove { at } => json!({"op": "remove", "path": at.to_json_pointer()}),
        }
    }
}

/// A wanted change of one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Where.
    pub at: Pointer,
    /// What shall stand there; `None` takes it out.
    pub value: Option<Value>,
}

impl Edit {
    /// `value` shall stand at `at`.
    pub fn set(at: Pointer, value: impl Into<Value>) -> Self {
        Self { at, value: Some(value.into()) }
    }
}

/// How far back an operation looks for the one that made its place; bounded, so that many changes
/// stay linear.
const FOLD_WINDOW: usize = 32;

/// A working copy. It copies the object only when something is changed.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    value: Cow<'a, Value>,
    ops: Vec<Op>,
    /// What stood where the operation of the same rank replaces.
    before: Vec<Option<Value>>,
}

impl<'a> Draft<'a> {
    /// A working copy of `object`.
    pub fn new(object: &'a Value) -> Self {
        Self { value: Cow::Borrowed(object), ops: Vec::new(), before: Vec::new() }
    }

    /// The object as it stands now.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// How the object was changed so far.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// Ends the work: the operations in the order in which they apply, and the changed object where
    /// there are any.
    pub fn into_parts(self) -> (Vec<Op>, Option<Value>) {
        let changed = !self.ops.is_empty();
        (self.ops, changed.then(|| self.value.into_owned()))
    }

    /// Ends the work: the changed object.
    pub fn into_value(self) -> Value {
        self.value.into_owned()
    }

    /// Whether a value other than null stands at `at`.
    pub fn has(&self, at: &Pointer) -> bool {
        at.get(&self.value).is_some_and(|value| !value.is_null())
    }

    /// Makes each change in turn.
    pub fn apply(&mut self, edits: impl IntoIterator<Item = Edit>) {
        for edit in edits {
            match edit.value {
                Some(value) => self.set(&edit.at, value),
                None => self.remove(&edit.at),
            }
        }
    }

    /// Sets the member `at` to `value`, with every parent that is absent or null. Nothing happens
    /// where that value stands already, or where a parent is neither object nor array.
    pub fn set(&mut self, at: &Pointer, value: Value) {
        match at.get(&self.value) {
            Some(present) if *present == value => {}
            Some(_) => {
                if let Some(slot) = at.get_mut(self.value.to_mut()) {
                    let before = std::mem::replace(slot, value.clone());
                    self.record(Op::Replace { at: at.clone(), value }, Some(before));
                }
            }
            None => self.set_absent(at, value),
        }
    }

    /// Makes the highest missing parent, its members inside, in one operation.
    fn set_absent(&mut self, at: &Pointer, value: Value) {
        let Some((parent, last)) = at.split_last() else {
            return;
        };
        let Token::Key(key) = last else { return };
        match parent.get(&self.value) {
            Some(Value::Object(_)) => {
                if let Some(Value::Object(map)) = parent.get_mut(self.value.to_mut()) {
                    map.insert(key.clone().into_owned(), value.clone());
                    self.record(Op::Add { at: at.clone(), value, append: false }, None);
                }
            }
            None | Some(Value::Null) => {
                let mut made = Map::new();
                made.insert(key.clone().into_owned(), value);
                self.set(&parent, Value::Object(made));
            }
            Some(_) => {}
        }
    }

    /// Puts `value` at the end of the list `list`, which is made where it is absent or null.
    pub fn append(&mut self, list: &Pointer, value: Value) {
        let length = match list.get(&self.value) {
            Some(Value::Array(items)) => items.len(),
            None | Some(Value::Null) => {
                self.set(list, Value::Array(vec![value]));
                return;
            }
            Some(_) => return,
        };
        self.insert(list, length, value);
    }

    /// Puts `value` before the element `index` of the list `list`; at its end when `index` is its
    /// length.
    pub fn insert(&mut self, list: &Pointer, index: usize, value: Value) {
        let Some(Value::Array(items)) = list.get_mut(self.value.to_mut()) else {
            return;
        };
        if index > items.len() {
            return;
        }
        let append = index == items.len();
        items.insert(index, value.clone());
        self.record(Op::Add { at: list.at(index), value, append }, None);
    }

    /// Takes out the member or element at `at`, if it is there.
    pub fn remove(&mut self, at: &Pointer) {
        if at.get(&self.value).is_none() {
            return;
        }
        let Some((parent, last)) = at.split_last() else {
            return;
        };
        match (parent.get_mut(self.value.to_mut()), last) {
            (Some(Value::Object(map)), Token::Key(key)) => {
                map.shift_remove(key.as_ref());
            }
            (Some(Value::Array(items)), Token::Index(index)) if *index < items.len() => {
                items.remove(*index);
            }
            _ => return,
        }
        self.record(Op::Remove { at: at.clone() }, None);
    }

    /// Keeps an operation, folded into an earlier one where that made the place. What ends where it
    /// began leaves nothing.
    fn record(&mut self, op: Op, before: Option<Value>) {
        let Some(earlier) = self.maker_of(&op) else {
            self.ops.push(op);
            self.before.push(before);
            return;
        };
        let Some(maker) = self.ops.get_mut(earlier) else { return };
        let undone = matches!(&op, Op::Remove { at } if at == maker.at());
        let now = maker.at().get(&self.value);
        let restored =
            self.before.get(earlier).is_some_and(|it| it.is_some() && it.as_ref() == now);
        if undone || restored {
            self.ops.remove(earlier);
            self.before.remove(earlier);
        } else if let (Op::Add { value, .. } | Op::Replace { value, .. }, Some(now)) = (maker, now)
        {
            value.clone_from(now);
        }
    }

    /// The operation that put the place of `op` there, unless a later one moved indices on the way.
    fn maker_of(&self, op: &Op) -> Option<usize> {
        for (index, earlier) in self.ops.iter().enumerate().rev().take(FOLD_WINDOW) {
            let made = matches!(earlier, Op::Add { .. } | Op::Replace { .. });
            match op.at().below(earlier.at()) {
                Some([]) if matches!(op, Op::Add { .. }) => return None,
                Some([]) if matches!((op, earlier), (Op::Remove { .. }, Op::Replace { .. })) => {
                    return None;
                }
                Some(_) if made => return Some(index),
                _ => {}
            }
            if let Some((list, Token::Index(_))) = earlier.at().split_last()
                && !matches!(earlier, Op::Replace { .. })
                && op.at().below(&list).is_some()
            {
                return None;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
