// SPDX-License-Identifier: MPL-2.0

//! Reads the sources of a crate: its modules, and which room uses which. It knows as much of
//! Rust's grammar as that takes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// One use of another room.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrow {
    pub file: PathBuf,
    pub line: usize,
    pub from: String,
    /// A room, or what else is named at the root of the crate.
    pub to: String,
}

impl fmt::Display for Arrow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, line) = (self.file.display(), self.line);
        write!(f, "{file}:{line}: {} -> {}", self.from, self.to)
    }
}

/// What the sources of a crate say.
#[derive(Debug, Default)]
pub struct Sources {
    pub rooms: Vec<String>,
    pub files: BTreeSet<PathBuf>,
    pub arrows: BTreeSet<Arrow>,
}

impl Sources {
    /// Reads a crate, from its `lib.rs` along all `mod` declarations.
    pub fn read(root: &Path) -> Self {
        let mut sources = Self::default();
        let library = root.join("lib.rs");
        let text = fs::read_to_string(&library).expect("a library");
        let names = names_of_root(&text);
        sources.module(&text, &library, root, &[], &names);
        sources
    }

    /// Reads one file, which is the module `path`, and those that it declares in
    /// `directory`.
    fn module(
        &mut self,
        text: &str,
        file: &Path,
        directory: &Path,
        path: &[String],
        names: &BTreeMap<String, String>,
    ) {
        self.files.insert(normal(file));
        let tokens = tokens(text);
        let mut reader = Reader {
            tokens: &tokens,
            at: 0,
        };
        // The modules in braces that the reader is in, with the depth of their braces.
        let mut inside: Vec<(String, usize)> = Vec::new();
        let mut depth = 0;
        let mut place = None;
        while let Some(token) = reader.next() {
            let here: Vec<String> = path
                .iter()
                .cloned()
                .chain(inside.iter().map(|(name, _)| name.clone()))
                .collect();
            match token.text.as_str() {
                "{" => depth += 1,
                "}" => {
                    depth -= 1;
                    inside.pop_if(|(_, braces)| *braces > depth);
                }
                "path" if reader.is_attribute() => {
                    place = reader.tokens.get(reader.at + 1).and_then(Token::literal);
                }
                "mod" => {
                    let name = reader.peek(0).unwrap_or_default().to_owned();
                    match reader.peek(1) {
                        Some("{") => inside.push((name, depth + 1)),
                        Some(";") => {
                            if here.is_empty() {
                                self.rooms.push(name.clone());
                            }
                            let own = inside.iter().map(|(name, _)| name);
                            let directory = own.fold(directory.to_owned(), |d, n| d.join(n));
                            let (next, below) = match place.take() {
                                Some(place) => {
                                    let from = file.parent().expect("a directory");
                                    let next = from.join(place);
                                    let below = next.parent().expect("a directory").to_owned();
                                    (next, below)
                                }
                                None => {
                                    let below = directory.join(&name);
                                    let flat = directory.join(format!("{name}.rs"));
                                    let next = match flat.exists() {
                                        true => flat,
                                        false => below.join("mod.rs"),
                                    };
                                    (next, below)
                                }
                            };
                            let text = fs::read_to_string(&next);
                            let text = text.unwrap_or_else(|error| panic!("{next:?}: {error}"));
                            let deeper: Vec<String> = here.iter().cloned().chain([name]).collect();
                            self.module(&text, &next, &below, &deeper, names);
                        }
                        _ => {}
                    }
                }
                "crate" if reader.peek(0) == Some("::") => {
                    reader.at += 1;
                    for (name, line) in reader.heads() {
                        self.arrow(file, line, &here, &name, names);
                    }
                }
                "super" if reader.peek(0) == Some("::") => {
                    reader.at += 1;
                    let up = 1;
                    self.follow_up(&mut reader, file, &here, up, names);
                }
                _ => {}
            }
        }
    }

    /// Follows what comes behind `up` times `super::`, which may leave the room.
    fn follow_up(
        &mut self,
        reader: &mut Reader<'_>,
        file: &Path,
        here: &[String],
        mut up: usize,
        names: &BTreeMap<String, String>,
    ) {
        while reader.peek(0) == Some("super") && reader.peek(1) == Some("::") {
            reader.at += 2;
            up += 1;
        }
        // A group in whose parts there is another `super::` is read by its parts.
        if up == here.len() {
            for (name, line) in reader.heads() {
                self.arrow(file, line, here, &name, names);
            }
        } else if reader.peek(0) == Some("{") {
            let group = reader.group();
            let mut reader = Reader {
                tokens: group,
                at: 0,
            };
            while let Some(token) = reader.next() {
                if token.text == "super" && reader.peek(0) == Some("::") {
                    reader.at += 1;
                    self.follow_up(&mut reader, file, here, up + 1, names);
                }
            }
        }
    }

    fn arrow(
        &mut self,
        file: &Path,
        line: usize,
        here: &[String],
        name: &str,
        names: &BTreeMap<String, String>,
    ) {
        // The root, and the modules in its own file, stand above all rooms.
        let Some(from) = here.first().filter(|name| self.rooms.contains(name)) else {
            return;
        };
        let to = names.get(name).map_or(name, String::as_str);
        if from != to {
            self.arrows.insert(Arrow {
                file: file.strip_prefix(workspace()).unwrap_or(file).to_owned(),
                line,
                from: from.clone(),
                to: to.to_owned(),
            });
        }
    }
}

/// Returns which room each name comes from that `lib.rs` passes on.
fn names_of_root(text: &str) -> BTreeMap<String, String> {
    let tokens = tokens(text);
    let mut reader = Reader {
        tokens: &tokens,
        at: 0,
    };
    let mut names = BTreeMap::new();
    while let Some(token) = reader.next() {
        if token.text != "use" {
            continue;
        }
        let room = reader.peek(0).unwrap_or_default().to_owned();
        while let Some(token) = reader.next()
            && token.text != ";"
        {
            let is_last = matches!(reader.peek(0), Some(";" | "," | "}"));
            if is_last && token.is_name() {
                names.insert(token.text.clone(), room.clone());
            }
        }
    }
    names
}

/// A piece of a source: a name, `::`, a text or one sign.
#[derive(Debug, Clone)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

impl Token {
    fn is_name(&self) -> bool {
        self.text
            .starts_with(|c: char| c.is_alphabetic() || c == '_')
    }

    /// Returns what is between its quotation marks.
    fn literal(&self) -> Option<String> {
        let text = self.text.strip_prefix('"')?.strip_suffix('"')?;
        Some(text.to_owned())
    }
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<&'a Token> {
        let token = self.tokens.get(self.at);
        self.at += 1;
        token
    }

    fn peek(&self, ahead: usize) -> Option<&'a str> {
        let token = self.tokens.get(self.at + ahead)?;
        Some(token.text.as_str())
    }

    /// Returns `true` if the last token begins an attribute with a value, as in
    /// `#[path = "…"]`.
    fn is_attribute(&self) -> bool {
        let before = self.at.checked_sub(2).and_then(|at| self.tokens.get(at));
        before.is_some_and(|token| token.text == "[") && self.peek(0) == Some("=")
    }

    /// Returns what is in the braces that come next, and does not move.
    fn group(&self) -> &'a [Token] {
        let mut depth = 0;
        let rest = &self.tokens[self.at..];
        for (n, token) in rest.iter().enumerate() {
            match token.text.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return &rest[1..n];
            }
        }
        &rest[1..]
    }

    /// Returns the first name of each path that comes next, which are more than one in
    /// braces. Does not move: there may be more in what follows.
    fn heads(&self) -> Vec<(String, usize)> {
        if self.peek(0) != Some("{") {
            let token = self.tokens.get(self.at);
            return token
                .map(|token| (token.text.clone(), token.line))
                .into_iter()
                .collect();
        }
        let (mut heads, mut depth, mut is_head) = (Vec::new(), 0, true);
        for token in self.group() {
            match token.text.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                "," if depth == 0 => is_head = true,
                text if is_head => {
                    heads.push((text.to_owned(), token.line));
                    is_head = false;
                }
                _ => {}
            }
        }
        heads
    }
}

/// Returns the tokens of a source, without its comments. Texts in quotation marks are one
/// token each.
pub fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    let peek = |at: usize| chars.get(at).copied().unwrap_or('\0');
    while at < chars.len() {
        let (start, begun) = (at, line);
        match (chars[at], peek(at + 1)) {
            ('/', '/') => {
                while at < chars.len() && chars[at] != '\n' {
                    at += 1;
                }
                continue;
            }
            ('/', '*') => {
                let mut depth = 0;
                while at < chars.len() {
                    match (chars[at], peek(at + 1)) {
                        ('/', '*') => (depth, at) = (depth + 1, at + 2),
                        ('*', '/') => (depth, at) = (depth - 1, at + 2),
                        ('\n', _) => (line, at) = (line + 1, at + 1),
                        _ => at += 1,
                    }
                    if depth == 0 {
                        break;
                    }
                }
                continue;
            }
            // What follows is read as a text that is not of bytes.
            ('b', 'r') if matches!(peek(at + 2), '"' | '#') => {
                at += 1;
                continue;
            }
            ('r', '"' | '#') => {
                let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
                if peek(at + 1 + hashes) == '"' {
                    at += hashes + 2;
                    let is_end = |at: usize| {
                        chars[at] == '"' && (1..=hashes).all(|ahead| peek(at + ahead) == '#')
                    };
                    while at < chars.len() && !is_end(at) {
                        line += usize::from(chars[at] == '\n');
                        at += 1;
                    }
                    at += hashes + 1;
                } else {
                    // A raw name: `r#type`.
                    at += 1 + hashes;
                    continue;
                }
            }
            ('"', _) => {
                at += 1;
                while at < chars.len() && chars[at] != '"' {
                    line += usize::from(chars[at] == '\n');
                    let is_escape = chars[at] == '\\';
                    if is_escape {
                        line += usize::from(peek(at + 1) == '\n');
                    }
                    at += 1 + usize::from(is_escape);
                }
                at += 1;
            }
            // A character; anything else that begins like this is a lifetime.
            ('\'', '\\') => {
                at += 3;
                while at < chars.len() && chars[at] != '\'' {
                    at += 1;
                }
                at += 1;
            }
            ('\'', _) if peek(at + 2) == '\'' => at += 3,
            (':', ':') => at += 2,
            (c, _) if c.is_alphanumeric() || c == '_' => {
                while peek(at).is_alphanumeric() || peek(at) == '_' {
                    at += 1;
                }
            }
            (c, _) => {
                at += 1;
                line += usize::from(c == '\n');
                if c.is_whitespace() {
                    continue;
                }
            }
        }
        let text = chars[start..at.min(chars.len())].iter().collect();
        tokens.push(Token { text, line: begun });
    }
    tokens
}

pub fn workspace() -> PathBuf {
    let service = Path::new(env!("CARGO_MANIFEST_DIR"));
    service.parent().expect("the workspace").to_owned()
}

/// Returns a path without `..`.
pub fn normal(path: &Path) -> PathBuf {
    path.canonicalize().expect("a file that was read")
}

pub fn sources_below(directory: &Path) -> Vec<PathBuf> {
    let mut sources = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources.extend(sources_below(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            sources.push(normal(&path));
        }
    }
    sources
}
