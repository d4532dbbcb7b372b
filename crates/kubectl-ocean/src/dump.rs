//! Dumps of Kubernetes objects: the output of `kubectl get -o yaml` or `-o json`, as a stream of objects.
//!
//! A list of 20,000 pods is read item by item: [`chunk`] cuts the text where kubectl begins an item, and only
//! kinds that somebody wants are parsed at all. What cannot be cut so (flow style, anchors) is parsed whole.
//! Knows nothing of what the objects mean.

mod chunk;
mod json;
mod loose;

use std::fmt;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use chunk::{Chunk, chunks};
use loose::Loose;

/// Where in the input something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    file: Arc<str>,
    document: usize,
    item: Option<usize>,
    line: Option<usize>,
    object: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, document {}", self.file, self.document)?;
        if let Some(item) = self.item {
            write!(f, ", item {item}")?;
        }
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        match &self.object {
            Some(object) => write!(f, " ({object})"),
            None => Ok(()),
        }
    }
}

/// An input that cannot be used: where, and one sentence.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DumpError {
    /// The file cannot be read.
    #[error("{file} cannot be read: {source}; name a file, or - for standard input")]
    Unreadable {
        /// The file.
        file: Arc<str>,
        /// Why.
        source: io::Error,
    },
    /// Something in it cannot be used.
    #[error("{place}: {message}")]
    Unusable {
        /// Where.
        place: Box<Place>,
        /// What was found and what was needed.
        message: String,
    },
    /// Cut into items it makes no sense; whole it may.
    #[error("{place}: cannot be read item by item")]
    Uncuttable {
        /// Where.
        place: Box<Place>,
    },
}

/// One object.
pub(crate) struct Object {
    /// `kind`.
    pub(crate) kind: String,
    /// `apiVersion`; empty where it is left out.
    pub(crate) api_version: String,
    place: Place,
    value: Value,
}

impl Object {
    /// The object as a type.
    ///
    /// # Errors
    /// A sentence that names the field.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, DumpError> {
        serde_path_to_error::deserialize(&self.value).map_err(|error| {
            let path = error.path().to_string();
            self.refuse(&in_field(&path, &error.into_inner().to_string()))
        })
    }

    /// The object as it stands.
    pub(crate) fn value(&self) -> &Value {
        &self.value
    }

    /// An error about this object.
    pub(crate) fn refuse(&self, message: &str) -> DumpError {
        let metadata = |key: &str| Some(self.value.get("metadata")?.get(key)?.as_str()?.to_owned());
        let name = metadata("name").unwrap_or_default();
        let name = metadata("namespace").map_or(name.clone(), |namespace| format!("{namespace}/{name}"));
        let place = Place {
            object: Some(format!("{} {name}", self.kind).trim().to_owned()),
            ..self.place.clone()
        };
        DumpError::Unusable {
            place: Box::new(place),
            message: message.to_owned(),
        }
    }
}

fn in_field(path: &str, message: &str) -> String {
    if path.is_empty() || path == "." {
        message.to_owned()
    } else {
        format!("field {path}: {message}")
    }
}

/// A file or standard input, which can be read more than once.
pub(crate) struct Source {
    name: Arc<str>,
    slurped: Option<Arc<[u8]>>,
}

impl Source {
    /// The file of this name; `-` is standard input, read to its end here.
    ///
    /// # Errors
    /// When standard input cannot be read.
    pub(crate) fn named(name: &str) -> Result<Self, DumpError> {
        let slurped = match name {
            "-" => {
                let mut bytes = Vec::new();
                let read = io::stdin().lock().read_to_end(&mut bytes);
                read.map_err(|source| DumpError::Unreadable {
                    file: "standard input".into(),
                    source,
                })?;
                Some(bytes.into())
            }
            _ => None,
        };
        let name = if name == "-" { "standard input" } else { name };
        Ok(Self {
            name: name.into(),
            slurped,
        })
    }

    fn open(&self) -> Result<Box<dyn BufRead>, DumpError> {
        match &self.slurped {
            Some(bytes) => Ok(Box::new(Cursor::new(bytes.clone()))),
            None => std::fs::File::open(Path::new(&*self.name))
                .map(|file| Box::new(BufReader::with_capacity(1 << 20, file)) as Box<dyn BufRead>)
                .map_err(|source| self.unreadable(source)),
        }
    }

    fn unreadable(&self, source: io::Error) -> DumpError {
        DumpError::Unreadable {
            file: self.name.clone(),
            source,
        }
    }

    /// The whole text.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn text(&self) -> Result<String, DumpError> {
        let mut text = String::new();
        self.open()?
            .read_to_string(&mut text)
            .map_err(|source| self.unreadable(source))?;
        Ok(text)
    }

    /// Its name, as sentences say it.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn place(&self, document: usize) -> Place {
        Place {
            file: self.name.clone(),
            document,
            item: None,
            line: None,
            object: None,
        }
    }
}

/// What becomes of the objects.
pub(crate) trait Sink {
    /// Whether objects of this kind are of use; the others are not even parsed.
    fn wants(&self, kind: &str) -> bool;
    /// Takes one.
    ///
    /// # Errors
    /// When it cannot be used.
    fn take(&mut self, object: &Object) -> Result<(), DumpError>;
    /// Forgets all that was taken: the source is read anew.
    fn restart(&mut self);
}

/// Reads every wanted object of a source, in order.
///
/// # Errors
/// The first thing that cannot be used.
pub(crate) fn read(source: &Source, sink: &mut impl Sink) -> Result<(), DumpError> {
    if is_json(source)? {
        return json::read(source, sink);
    }
    let reader = source.open()?;
    let cut = chunks(reader, &mut |chunk: &Chunk<'_>| take_chunk(source, chunk, sink));
    match cut {
        Err(chunk::Error::Io(error)) => Err(source.unreadable(error)),
        Err(chunk::Error::Taken(DumpError::Uncuttable { .. })) => {
            sink.restart();
            read_whole(source, sink)
        }
        Err(chunk::Error::Taken(error)) => Err(error),
        Ok(()) => Ok(()),
    }
}

fn is_json(source: &Source) -> Result<bool, DumpError> {
    let mut reader = source.open()?;
    loop {
        let buffer = reader.fill_buf().map_err(|error| source.unreadable(error))?;
        let Some(position) = buffer.iter().position(|byte| !byte.is_ascii_whitespace()) else {
            let length = buffer.len();
            if length == 0 {
                return Ok(false);
            }
            reader.consume(length);
            continue;
        };
        return Ok(buffer[position] == b'{');
    }
}

fn take_chunk(source: &Source, chunk: &Chunk<'_>, sink: &mut impl Sink) -> Result<(), DumpError> {
    let place = Place {
        item: chunk.item,
        line: Some(chunk.line),
        ..source.place(chunk.document)
    };
    let wanted = chunk
        .heading("kind")
        .map(|kind| kind.ends_with("List") || sink.wants(kind));
    match wanted {
        Some(false) => return Ok(()),
        // An item of a list that names the kind once for all.
        None if chunk.item.is_some() => {
            return Err(DumpError::Uncuttable {
                place: Box::new(place),
            });
        }
        Some(true) | None => {}
    }
    match serde_yaml::from_str(chunk.text) {
        Ok(Loose(value)) => take_value(value, &place, sink),
        // An anchor of another item.
        Err(error) if error.to_string().contains("unknown anchor") => Err(DumpError::Uncuttable {
            place: Box::new(place),
        }),
        Err(error) => Err(not_yaml(&place, &error)),
    }
}

fn not_yaml(place: &Place, error: &serde_yaml::Error) -> DumpError {
    let first = place.line.unwrap_or(1);
    let message = error.to_string();
    DumpError::Unusable {
        place: Box::new(Place {
            line: error.location().map(|at| first + at.line() - 1),
            ..place.clone()
        }),
        // The position within the piece that was parsed would mislead.
        message: format!(
            "this is not YAML: {}",
            message.split(" at line ").next().unwrap_or_default()
        ),
    }
}

fn read_whole(source: &Source, sink: &mut impl Sink) -> Result<(), DumpError> {
    use serde::Deserialize;
    let text = source.text()?;
    for (number, document) in serde_yaml::Deserializer::from_str(&text).enumerate() {
        let place = source.place(number + 1);
        let Loose(value) = Loose::deserialize(document).map_err(|error| not_yaml(&place, &error))?;
        take_value(value, &place, sink)?;
    }
    Ok(())
}

/// Takes an object, or the items of a list.
fn take_value(value: Value, place: &Place, sink: &mut impl Sink) -> Result<(), DumpError> {
    if value.is_null() {
        return Ok(());
    }
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let refuse = |message: &str| DumpError::Unusable {
        place: Box::new(place.clone()),
        message: message.to_owned(),
    };
    if !value.is_object() {
        return Err(refuse(
            "this is no Kubernetes object: a mapping with apiVersion and kind is needed, as kubectl get -o yaml prints it",
        ));
    }
    let Some(kind) = text(&value, "kind") else {
        return Err(refuse("the object has no kind: add apiVersion and kind"));
    };
    let Some(of_items) = kind.strip_suffix("List") else {
        let api_version = text(&value, "apiVersion").unwrap_or_default();
        return take_object(kind, api_version, value, place, sink);
    };
    let list_version = text(&value, "apiVersion").unwrap_or_default();
    let Value::Object(mut list) = value else {
        return Ok(());
    };
    let items = match list.remove("items") {
        Some(Value::Array(items)) => items,
        None | Some(Value::Null) => Vec::new(),
        Some(_) => return Err(refuse("field items: a sequence of objects is needed")),
    };
    for (number, item) in items.into_iter().enumerate() {
        let place = Place {
            item: Some(number + 1),
            ..place.clone()
        };
        let kind = text(&item, "kind").unwrap_or_else(|| of_items.to_owned());
        let api_version = text(&item, "apiVersion").unwrap_or_else(|| list_version.clone());
        take_object(kind, api_version, item, &place, sink)?;
    }
    Ok(())
}

fn take_object(
    kind: String,
    api_version: String,
    value: Value,
    place: &Place,
    sink: &mut impl Sink,
) -> Result<(), DumpError> {
    if !sink.wants(&kind) {
        return Ok(());
    }
    sink.take(&Object {
        kind,
        api_version,
        place: place.clone(),
        value,
    })
}
