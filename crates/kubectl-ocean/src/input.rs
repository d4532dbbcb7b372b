//! The files of a rehearsal, read: oceans, cluster, catalogue.

use serde_json::Value;
use spotocean_api::spot_ocean::SpotOcean;
use spotocean_planner::record::RecordError;

use crate::args::World;
use crate::catalogue::{CatalogueError, Goods};
use crate::dump::{self, DumpError, Source};
use crate::objects::{Objects, Only};
use crate::rehearsal::{Rehearsal, rehearsal};

/// Why there is nothing to rehearse.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    /// A manifest or dump.
    #[error(transparent)]
    Dump(#[from] DumpError),
    /// The catalogue.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// No ocean.
    #[error("{file}: it holds no SpotOcean: add one (apiVersion: spotocean.dev/v1alpha1, kind: SpotOcean)")]
    NoOcean {
        /// The file.
        file: String,
    },
    /// A SpotOcean that the apiserver would not take.
    #[error("{file}: SpotOcean {name:?}: {message}")]
    Ocean {
        /// The file.
        file: String,
        /// Its name.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// Nothing of that name.
    #[error("{file}: there is no {kind} {name} in it: name one that the dump holds")]
    NotThere {
        /// The dump.
        file: String,
        /// Pod or Node.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// A record that cannot be replayed.
    #[error("{file}: {error}")]
    Record {
        /// The file.
        file: String,
        /// Why.
        error: RecordError,
    },
    /// A file that cannot be written.
    #[error("{file} cannot be written: {error}")]
    Unwritable {
        /// The file.
        file: String,
        /// Why.
        error: std::io::Error,
    },
    /// Standard input cannot be two files.
    #[error("standard input is named twice: only one of the files can be -")]
    TwiceStandardInput,
}

/// Reads everything, and tells on standard error what had to be assumed.
///
/// # Errors
/// The first thing that cannot be used.
pub(crate) fn read_and_tell(world: &World) -> Result<Rehearsal, InputError> {
    let read = read(world)?;
    for note in &read.notes {
        eprintln!("note: {note}");
    }
    Ok(read)
}

/// Reads everything.
///
/// # Errors
/// The first thing that cannot be used.
fn read(world: &World) -> Result<Rehearsal, InputError> {
    let files = [Some(&world.ocean), Some(&world.cluster), world.catalogue.as_ref()];
    if files.into_iter().flatten().filter(|file| *file == "-").count() > 1 {
        return Err(InputError::TwiceStandardInput);
    }
    let (oceans, mut notes) = oceans(&world.ocean)?;
    let goods = match &world.catalogue {
        None => Goods::built_in(&world.region)?,
        Some(file) => {
            let source = Source::named(file)?;
            Goods::read(source.name(), &source.text()?, &world.region)?
        }
    };
    let mut objects = Objects::default();
    dump::read(&Source::named(&world.cluster)?, &mut objects)?;
    let mut read = rehearsal(oceans, objects, &goods);
    notes.extend(goods.notes);
    notes.append(&mut read.notes);
    read.notes = notes;
    Ok(read)
}

fn oceans(file: &str) -> Result<(Vec<SpotOcean>, Vec<String>), InputError> {
    let source = Source::named(file)?;
    let mut only: Only<SpotOcean> = Only::of("SpotOcean");
    dump::read(&source, &mut only)?;
    if only.read.is_empty() {
        return Err(InputError::NoOcean {
            file: source.name().to_string(),
        });
    }
    let mut oceans: Vec<SpotOcean> = Vec::new();
    let mut notes = Vec::new();
    for (ocean, written) in only.read {
        let name = ocean.metadata.name.clone().unwrap_or_default();
        let refuse = |message: &str| InputError::Ocean {
            file: source.name().to_string(),
            name: name.clone(),
            message: message.to_owned(),
        };
        if name.is_empty() {
            return Err(refuse("field metadata.name: a name is needed"));
        }
        if oceans
            .iter()
            .any(|other| other.metadata.name.as_deref() == Some(&name))
        {
            return Err(refuse("another ocean has the same name: rename one of the two"));
        }
        if ocean.spec.pools.is_empty() {
            return Err(refuse("field spec.pools: at least one pool is needed"));
        }
        notes.extend(unknown_fields(&written).into_iter().map(|field| {
            format!("{}: SpotOcean {name:?} has field {field}, which this version does not know: it has no effect", source.name())
        }));
        oceans.push(ocean);
    }
    oceans.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    Ok((oceans, notes))
}

/// Fields of `spec` that the definition does not know.
fn unknown_fields(written: &Value) -> Vec<String> {
    let definition = spotocean_api::crd::definitions().into_iter().next();
    let definition = definition.and_then(|definition| serde_json::to_value(definition).ok());
    let schema = definition
        .as_ref()
        .and_then(|definition| definition.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec"));
    let mut found = Vec::new();
    if let (Some(schema), Some(spec)) = (schema, written.get("spec")) {
        compare(schema, spec, "spec", &mut found);
    }
    found
}

fn compare(schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    if let (Some(items), Value::Array(values)) = (schema.get("items"), value) {
        for (number, value) in values.iter().enumerate() {
            compare(items, value, &format!("{path}[{number}]"), found);
        }
    }
    let (Some(Value::Object(properties)), Value::Object(fields)) = (schema.get("properties"), value) else {
        return;
    };
    for (name, value) in fields {
        let path = format!("{path}.{name}");
        match properties.get(name) {
            Some(schema) => compare(schema, value, &path, found),
            None => found.push(path),
        }
    }
}
