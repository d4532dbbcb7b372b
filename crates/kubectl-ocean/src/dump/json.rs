//! Dumps in JSON, one object or list after another, read item by item.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::{DumpError, Place, Sink, Source, take_value};

/// Reads every wanted object.
pub(super) fn read(source: &Source, sink: &mut impl Sink) -> Result<(), DumpError> {
    let mut deserializer = serde_json::Deserializer::from_reader(source.open()?);
    for document in 1.. {
        let mut failure = None;
        let top = Top {
            place: source.place(document),
            sink,
            failure: &mut failure,
        };
        let read = top.deserialize(&mut deserializer);
        match failure {
            Some(DumpError::Uncuttable { .. }) => {
                sink.restart();
                return read_whole(source, sink);
            }
            Some(failure) => return Err(failure),
            None => {}
        }
        read.map_err(|error| not_json(&source.place(document), &error))?;
        if deserializer.end().is_ok() {
            break;
        }
    }
    Ok(())
}

/// The apiserver's own lists name the kind once for all items, and behind them.
fn read_whole(source: &Source, sink: &mut impl Sink) -> Result<(), DumpError> {
    let documents = serde_json::Deserializer::from_reader(source.open()?).into_iter::<Value>();
    for (number, document) in documents.enumerate() {
        let place = source.place(number + 1);
        let value = document.map_err(|error| not_json(&place, &error))?;
        take_value(value, &place, sink)?;
    }
    Ok(())
}

fn not_json(place: &Place, error: &serde_json::Error) -> DumpError {
    DumpError::Unusable {
        place: Box::new(Place {
            line: Some(error.line()),
            ..place.clone()
        }),
        message: format!("this is not JSON: {error}"),
    }
}

struct Top<'s, S> {
    place: Place,
    sink: &'s mut S,
    failure: &'s mut Option<DumpError>,
}

impl<'de, S: Sink> DeserializeSeed<'de> for Top<'_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de, S: Sink> Visitor<'de> for Top<'_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Kubernetes object or list")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let mut object = Map::new();
        let mut is_list = false;
        while let Some(key) = map.next_key::<String>()? {
            if key == "items" {
                is_list = true;
                map.next_value_seed(Items {
                    place: &self.place,
                    kind: object.get("kind").and_then(Value::as_str).map(str::to_owned),
                    sink: self.sink,
                    failure: self.failure,
                })?;
            } else if is_list {
                map.next_value::<IgnoredAny>()?;
            } else {
                object.insert(key, map.next_value()?);
            }
        }
        if is_list {
            return Ok(());
        }
        keep(
            take_value(Value::Object(object), &self.place, self.sink),
            self.failure,
        )
    }
}

struct Items<'s, S> {
    place: &'s Place,
    kind: Option<String>,
    sink: &'s mut S,
    failure: &'s mut Option<DumpError>,
}

impl<'de, S: Sink> DeserializeSeed<'de> for Items<'_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de, S: Sink> Visitor<'de> for Items<'_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of Kubernetes objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let of_items = self.kind.as_deref().and_then(|kind| kind.strip_suffix("List"));
        let of_items = of_items.filter(|kind| !kind.is_empty());
        let mut number = 0;
        while let Some(mut item) = items.next_element::<Value>()? {
            number += 1;
            let place = Place {
                item: Some(number),
                ..self.place.clone()
            };
            if let (Value::Object(item), Some(kind)) = (&mut item, of_items) {
                item.entry("kind").or_insert_with(|| kind.into());
            }
            if item.get("kind").is_none() {
                let place = Box::new(place);
                return keep(Err(DumpError::Uncuttable { place }), self.failure);
            }
            keep(take_value(item, &place, self.sink), self.failure)?;
        }
        Ok(())
    }
}

/// Keeps our own error aside: serde's would lose where and what.
fn keep<E: serde::de::Error>(taken: Result<(), DumpError>, failure: &mut Option<DumpError>) -> Result<(), E> {
    taken.map_err(|error| {
        *failure = Some(error);
        E::custom("refused")
    })
}
