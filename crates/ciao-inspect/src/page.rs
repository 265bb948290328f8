//! How is text with colours held until whoever prints it decides about the colours?
//!
//! Colour is by meaning, and never the only sign: [`Page::plain`] is [`Page::coloured`] without escapes.

use anstyle::{AnsiColor, Color, RgbColor, Style};
use std::fmt::Write as _;

/// What a piece of text means, which decides its colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// Secondary: what did not change.
    Quiet,
    /// What the eye should find first: names, changes.
    Strong,
    /// Opening a connection: teal.
    Open,
    /// Data: blue.
    Data,
    /// Acknowledgment: green.
    Ack,
    /// Selective acknowledgment: purple.
    Sack,
    /// Sent again: orange.
    Retransmit,
    /// Closing a connection: magenta.
    Close,
    /// Lost or dropped: red.
    Lost,
}

impl Tone {
    /// The colours of the inspector, by meaning; all are readable on a light and on a dark ground.
    #[must_use]
    pub const fn style(self) -> Style {
        const fn rgb(red: u8, green: u8, blue: u8) -> Style {
            Style::new().fg_color(Some(Color::Rgb(RgbColor(red, green, blue))))
        }
        match self {
            Self::Plain => Style::new(),
            Self::Quiet => Style::new().fg_color(Some(Color::Ansi(AnsiColor::BrightBlack))),
            Self::Strong => Style::new().bold(),
            Self::Open => rgb(0x12, 0x9c, 0xa8),
            Self::Data => rgb(0x3b, 0x8e, 0xea),
            Self::Ack => rgb(0x3a, 0xa3, 0x4f),
            Self::Sack => rgb(0xa9, 0x5f, 0xd0),
            Self::Retransmit => rgb(0xe0, 0x7b, 0x1f),
            Self::Close => rgb(0xd6, 0x3d, 0x87),
            Self::Lost => Style::new().fg_color(Some(Color::Ansi(AnsiColor::Red))).bold(),
        }
    }
}

/// One line: pieces of text, each in its tone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    spans: Vec<(Tone, String)>,
    width: usize,
}

impl Line {
    /// A line of one piece.
    #[must_use]
    pub fn of(tone: Tone, text: impl Into<String>) -> Self {
        let mut line = Self::default();
        line.push(tone, text);
        line
    }

    /// Appends a piece.
    pub fn push(&mut self, tone: Tone, text: impl Into<String>) {
        let text = text.into();
        self.width += text.chars().count();
        match self.spans.last_mut() {
            Some((last, before)) if *last == tone => before.push_str(&text),
            _ => self.spans.push((tone, text)),
        }
    }

    /// Appends all of another line.
    pub fn append(&mut self, other: Self) {
        for (tone, text) in other.spans {
            self.push(tone, text);
        }
    }

    /// Appends spaces up to column `width`.
    pub fn pad_to(&mut self, width: usize) {
        if self.width < width {
            self.push(Tone::Plain, " ".repeat(width - self.width));
        }
    }

    /// Columns taken; each character that is used here takes one.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// The line broken between words so that no part is wider than `width`; indented parts stay so.
    #[must_use]
    pub fn wrapped(self, width: usize) -> Vec<Self> {
        if self.width <= width {
            return vec![self];
        }
        let tone = self.spans.first().map_or(Tone::Plain, |span| span.0);
        let text = self.plain();
        let indent: String = text.chars().take_while(|c| matches!(c, ' ' | '·' | '─' | '◀' | '▶')).collect();
        let indent = " ".repeat(indent.chars().count());
        let mut lines = Vec::new();
        let mut line = String::new();
        for word in text.split_inclusive(' ') {
            if line.chars().count() + word.trim_end().chars().count() > width && !line.trim().is_empty() {
                lines.push(Self::of(tone, std::mem::replace(&mut line, indent.clone())));
            }
            line.push_str(word);
        }
        lines.push(Self::of(tone, line));
        lines
    }

    fn plain(&self) -> String {
        let text: String = self.spans.iter().map(|(_, text)| text.as_str()).collect();
        text.trim_end().to_owned()
    }

    fn coloured(&self) -> String {
        let mut left = self.plain().len();
        let mut out = String::new();
        for (tone, text) in &self.spans {
            let shown = &text[..text.len().min(left)];
            left -= shown.len();
            if shown.trim().is_empty() {
                out.push_str(shown);
            } else {
                let style = tone.style();
                write!(out, "{style}{shown}{style:#}").expect("a String takes everything");
            }
        }
        out
    }
}

/// Lines of text with colours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page(pub Vec<Line>);

impl Page {
    /// Appends a line.
    pub fn push(&mut self, line: Line) {
        self.0.push(line);
    }

    /// The text without colours, with a line end behind each line.
    #[must_use]
    pub fn plain(&self) -> String {
        self.0.iter().map(|line| line.plain() + "\n").collect()
    }

    /// The text with ANSI colours; `anstream` takes them off where they are not wanted.
    #[must_use]
    pub fn coloured(&self) -> String {
        self.0.iter().map(|line| line.coloured() + "\n").collect()
    }

    /// The widest line, in columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.0.iter().map(|line| line.plain().chars().count()).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `text` without escape sequences.
    fn stripped(text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('\x1b') {
            out.push_str(before);
            rest = after.split_once('m').expect("a colour ends with m").1;
        }
        out + rest
    }

    #[test]
    fn plain_is_coloured_without_escapes() {
        let mut line = Line::of(Tone::Open, "SYN");
        line.push(Tone::Plain, "  ");
        line.push(Tone::Quiet, "  ──▶ ");
        line.pad_to(40);
        let page = Page(vec![line, Line::default(), Line::of(Tone::Lost, "✗ lost  ")]);
        assert_ne!(page.coloured(), page.plain());
        assert_eq!(stripped(&page.coloured()), page.plain());
        assert_eq!(page.plain(), "SYN    ──▶\n\n✗ lost\n");
    }
}
