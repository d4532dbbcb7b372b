//! One answer in the form that was asked for, on standard output.

use std::io::{self, Write};

use serde::Serialize;

use crate::args::Output;

/// Prints. A reader that has gone away (`| head`) is no error.
pub(crate) fn print<T: Serialize>(output: Output, answer: &T, table: impl Fn(&T) -> String) {
    let text = match output {
        Output::Table => table(answer),
        Output::Json => serde_json::to_string_pretty(answer).expect("answers are plain data") + "\n",
        Output::Yaml => serde_yaml::to_string(answer).expect("answers are plain data"),
    };
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
