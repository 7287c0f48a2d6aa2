//! The native dialect of the scaling API.
//!
//! | file | role |
//! | --- | --- |
//! | [`endpoint`] | the table of endpoints: method, path, what it is called |
//! | [`request`] | body, query and headers -> what is asked for, strictly |
//! | [`change`] | object + wanted count -> the smallest guarded patch, or what stands against it |
//! | [`replay`] | the keys of requests that were done, on the object that they changed |
//! | [`preflight`] | what admission says to the scale, asked as the caller |
//! | [`view`] | the forms of the answers |
//! | [`openapi`] | the table and the forms, as an OpenAPI document |
//!
//! Values in, values out. Invariants: a path that is not in the table does not exist, and what is in it
//! is in the document; nobody's right widens because we write in their place: the change is judged as
//! theirs.

pub mod change;
pub mod endpoint;
pub mod openapi;
pub mod preflight;
pub mod replay;
pub mod request;
pub mod view;
