//! YAML as plain data, whatever numbers and keys are in it: what JSON cannot hold is kept as text, so that one odd
//! amount is a matter of its own object and not the end of the file.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Plain data.
pub(super) struct Loose(pub(super) Value);

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(LooseVisitor)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Loose;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("plain data")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Loose, E> {
        Ok(Loose(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Loose, E> {
        Ok(Loose(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Loose, E> {
        Ok(Loose(value.into()))
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<Loose, E> {
        Ok(Loose(value.to_string().into()))
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Loose, E> {
        Ok(Loose(value.to_string().into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Loose, E> {
        let number = Number::from_f64(value).map(Value::Number);
        Ok(Loose(number.unwrap_or_else(|| value.to_string().into())))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Loose, E> {
        Ok(Loose(value.into()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Loose, E> {
        Ok(Loose(value.into()))
    }

    fn visit_unit<E: Error>(self) -> Result<Loose, E> {
        Ok(Loose(Value::Null))
    }

    fn visit_none<E: Error>(self) -> Result<Loose, E> {
        Ok(Loose(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Loose, D::Error> {
        Loose::deserialize(from)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Loose, A::Error> {
        let mut list = Vec::new();
        while let Some(Loose(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Loose(list.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Loose, A::Error> {
        let mut map = Map::new();
        while let Some((Loose(key), Loose(value))) = fields.next_entry()? {
            let key = match key {
                Value::String(text) => text,
                other => other.to_string(),
            };
            map.insert(key, value);
        }
        Ok(Loose(map.into()))
    }
}
