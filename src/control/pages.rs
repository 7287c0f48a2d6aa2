//! Long lists, page by page and object by object.
//!
//! Input: a resource. Output: each object by itself, handed over and dropped before the next is
//! built: a page is held as text, never as objects.

use std::fmt;
use std::marker::PhantomData;

use futures::AsyncReadExt as _;
use kube::api::ListParams;
use kube::core::Request;
use kube::{Client, Error};
use serde::Deserialize;
use serde::de::{DeserializeOwned, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Objects of one page.
pub const PAGE: u32 = 500;

/// A list on its way.
pub struct Pages {
    client: Client,
    path: String,
    labels: String,
    fields: String,
    next: Option<String>,
    /// The page, in one piece of memory for all pages.
    text: Vec<u8>,
}

impl Pages {
    /// The list at a path of the API server, from its beginning; of all objects where `labels` is
    /// empty, else of those that the selector names.
    pub fn of(client: Client, path: &str, labels: &str) -> Self {
        Self {
            client,
            path: path.to_owned(),
            labels: labels.to_owned(),
            fields: String::new(),
            next: Some(String::new()),
            text: Vec::new(),
        }
    }

    /// The same of the objects that a selector of fields names; empty names all of them.
    #[must_use]
    pub fn of_fields(mut self, fields: &str) -> Self {
        fields.clone_into(&mut self.fields);
        self
    }

    /// Hands over every object of the next page; whether there was one.
    pub async fn next<T: DeserializeOwned>(
        &mut self,
        each: &mut (dyn FnMut(T) + Send),
    ) -> kube::Result<bool> {
        let Some(token) = self.next.take() else { return Ok(false) };
        let mut parameters = ListParams::default().limit(PAGE);
        if !self.labels.is_empty() {
            parameters = parameters.labels(&self.labels);
        }
        if !self.fields.is_empty() {
            parameters = parameters.fields(&self.fields);
        }
        if !token.is_empty() {
            parameters = parameters.continue_token(&token);
        }
        let request = Request::new(&self.path).list(&parameters).map_err(Error::BuildRequest)?;
        self.text.clear();
        let mut body = Box::pin(self.client.request_stream(request).await?);
        body.read_to_end(&mut self.text).await.map_err(|error| Error::Service(Box::new(error)))?;
        let token = read(&self.text, each).map_err(Error::SerdeError)?;
        self.next = (!token.is_empty()).then_some(token);
        Ok(true)
    }

    /// Begins anew, which a list has to that became too old on its way.
    pub fn begin_anew(&mut self) {
        self.next = Some(String::new());
    }
}

/// Hands over the items of a list; the token of the next page, or nothing.
fn read<T: DeserializeOwned>(text: &[u8], each: &mut dyn FnMut(T)) -> serde_json::Result<String> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let token = List(Each(each, PhantomData)).deserialize(&mut reader)?;
    reader.end()?;
    Ok(token)
}

struct Each<'a, T>(&'a mut dyn FnMut(T), PhantomData<T>);

struct List<'a, T>(Each<'a, T>);

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default, rename = "continue")]
    next: Option<String>,
}

impl<'de, T: DeserializeOwned> DeserializeSeed<'de> for List<'_, T> {
    type Value = String;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<String, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de, T: DeserializeOwned> Visitor<'de> for List<'_, T> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<String, A::Error> {
        let mut token = None;
        let Self(Each(each, _)) = self;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "items" => map.next_value_seed(Each(&mut *each, PhantomData))?,
                "metadata" => token = map.next_value::<Metadata>()?.next,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(token.unwrap_or_default())
    }
}

impl<'de, T: DeserializeOwned> DeserializeSeed<'de> for Each<'_, T> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de, T: DeserializeOwned> Visitor<'de> for Each<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the items of a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element()? {
            (self.0)(item);
        }
        Ok(())
    }

    /// No items at all.
    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn items(text: &str) -> serde_json::Result<(Vec<Value>, String)> {
        let mut found = Vec::new();
        let token = read(text.as_bytes(), &mut |item| found.push(item))?;
        Ok((found, token))
    }

    #[test]
    fn items_come_one_by_one_and_the_token_wherever_it_stands() {
        let wanted = (vec![Value::from(1), Value::from(2)], "more".to_owned());
        for text in [
            r#"{"kind": "List", "items": [1, 2], "metadata": {"continue": "more", "resourceVersion": "7"}}"#,
            r#"{"metadata": {"continue": "more"}, "items": [1, 2], "apiVersion": "v1"}"#,
        ] {
            assert_eq!(items(text).unwrap(), wanted, "{text}");
        }
    }

    #[test]
    fn a_list_may_be_empty_and_nothing_else_is_one() {
        for text in [r#"{"items": null, "metadata": {}}"#, r#"{"items": []}"#, "{}"] {
            assert_eq!(items(text).unwrap(), (Vec::new(), String::new()), "{text}");
        }
        for text in ["[]", r#"{"items": {}}"#, r#"{"items": [1"#, ""] {
            assert!(items(text).is_err(), "{text}");
        }
    }
}
