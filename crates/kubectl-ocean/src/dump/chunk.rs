//! Cuts YAML text where kubectl begins a document or an item of a list, line by line.
//!
//! Inside a block sequence that starts at some column, nothing but the next item can begin with a dash there:
//! whatever belongs to an item is indented further. Knows no other YAML.

use std::io::{self, BufRead};

use super::DumpError;

/// A piece of text that can be parsed by itself.
pub(super) struct Chunk<'a> {
    /// The text; an item's dash has been made a space.
    pub(super) text: &'a str,
    /// Its first line in the file, from 1.
    pub(super) line: usize,
    /// Its document, from 1.
    pub(super) document: usize,
    /// Its number in the list, from 1; `None` for a document by itself.
    pub(super) item: Option<usize>,
}

impl Chunk<'_> {
    /// The plain value of a key of the outermost mapping, where it stands in block style.
    pub(super) fn heading(&self, key: &str) -> Option<&str> {
        let first = self.text.lines().find(|line| !is_blank(line))?;
        let indent = indent_of(first);
        self.text.lines().find_map(|line| {
            let rest = line.get(indent..).filter(|_| indent_of(line) == indent)?;
            let value = rest.strip_prefix(key)?.strip_prefix(':')?;
            let value = value.split(" #").next().unwrap_or(value).trim();
            let value = value.trim_matches(|quote| quote == '"' || quote == '\'');
            (!value.is_empty()).then_some(value)
        })
    }
}

/// Why cutting ended early.
pub(super) enum Error {
    /// The text cannot be read.
    Io(io::Error),
    /// Whoever took a chunk could not use it.
    Taken(DumpError),
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

fn is_blank(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

fn begins_document(line: &str) -> bool {
    line.strip_prefix("---")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
}

fn is_dash(line: &str, indent: usize) -> bool {
    indent_of(line) == indent
        && line[indent..]
            .strip_prefix('-')
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

/// Which part of a document a line belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// No `items:` so far.
    Plain,
    /// Right behind `items:`.
    Opening,
    /// In a list whose items begin at this column.
    Items(usize),
    /// Behind the items.
    Tail,
}

struct Cutter<'s> {
    take: &'s mut dyn FnMut(&Chunk<'_>) -> Result<(), DumpError>,
    part: Part,
    text: String,
    line: usize,
    document: usize,
    item: usize,
    has_items: bool,
}

/// Cuts the whole text.
pub(super) fn chunks(
    mut reader: impl BufRead,
    take: &mut dyn FnMut(&Chunk<'_>) -> Result<(), DumpError>,
) -> Result<(), Error> {
    let mut cutter = Cutter {
        take,
        part: Part::Plain,
        text: String::new(),
        line: 1,
        document: 1,
        item: 0,
        has_items: false,
    };
    let mut line = String::new();
    for number in 1.. {
        line.clear();
        if reader.read_line(&mut line).map_err(Error::Io)? == 0 {
            break;
        }
        let bare = line.trim_end_matches(['\n', '\r']);
        cutter.line(bare, number).map_err(Error::Taken)?;
    }
    cutter.end_document().map_err(Error::Taken)
}

impl Cutter<'_> {
    fn line(&mut self, line: &str, number: usize) -> Result<(), DumpError> {
        if begins_document(line) || line == "..." {
            let was_empty = self.text.lines().all(is_blank) && !self.has_items;
            self.end_document()?;
            // The marker before the first document begins it.
            self.document += usize::from(!was_empty);
            self.line = number + 1;
            let rest = line.trim_start_matches("---").trim();
            if !rest.is_empty() && rest != "..." && !rest.starts_with('#') {
                self.push(rest, number);
            }
            return Ok(());
        }
        match self.part {
            Part::Plain => {
                let is_items = line.strip_prefix("items:").is_some_and(is_blank);
                self.push(line, number);
                if is_items {
                    self.part = Part::Opening;
                }
            }
            Part::Opening if is_blank(line) => self.push(line, number),
            Part::Opening => {
                let indent = indent_of(line);
                if is_dash(line, indent) {
                    self.part = Part::Items(indent);
                    self.has_items = true;
                    self.begin_item(line, indent, number);
                } else {
                    self.part = Part::Plain;
                    self.push(line, number);
                }
            }
            Part::Items(indent) if is_dash(line, indent) => {
                self.end_item()?;
                self.begin_item(line, indent, number);
            }
            Part::Items(_) if !is_blank(line) && indent_of(line) == 0 => {
                self.end_item()?;
                self.part = Part::Tail;
            }
            Part::Items(_) => self.push(line, number),
            // What a list says beside its items is of no use here.
            Part::Tail => {}
        }
        Ok(())
    }

    fn push(&mut self, line: &str, number: usize) {
        if self.text.is_empty() {
            self.line = number;
        }
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn begin_item(&mut self, line: &str, indent: usize, number: usize) {
        self.text.clear();
        self.line = number;
        self.item += 1;
        self.text.push_str(&line[..indent]);
        self.text.push(' ');
        self.text.push_str(&line[indent + 1..]);
        self.text.push('\n');
    }

    fn end_item(&mut self) -> Result<(), DumpError> {
        let item = Some(self.item);
        self.hand_over(item)
    }

    fn end_document(&mut self) -> Result<(), DumpError> {
        match self.part {
            Part::Plain | Part::Opening => self.hand_over(None)?,
            Part::Items(_) => self.end_item()?,
            Part::Tail => {}
        }
        self.text.clear();
        self.part = Part::Plain;
        self.item = 0;
        self.has_items = false;
        Ok(())
    }

    fn hand_over(&mut self, item: Option<usize>) -> Result<(), DumpError> {
        if self
            .text
            .lines()
            .all(|line| is_blank(line) || line.starts_with('%'))
        {
            self.text.clear();
            return Ok(());
        }
        let chunk = Chunk {
            text: &self.text,
            line: self.line,
            document: self.document,
            item,
        };
        (self.take)(&chunk)?;
        self.text.clear();
        Ok(())
    }
}
