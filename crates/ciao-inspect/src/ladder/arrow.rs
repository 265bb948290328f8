//! How is one segment drawn between the lanes, and what stands on its arrow?

use super::draw::Sheet;
use super::rows::{Leg, Row};
use crate::history::Side;
use crate::history::{Fate, Observed, Segment};
use crate::http::{Carried, Element, End, Kind, Part, byte_count};
use crate::page::{Line, Tone};
use ciao_tcp::Transmission;

impl Sheet<'_> {
    /// The lanes with the segment's arrow between them, and the messages that found no room on it.
    pub(super) fn arrow(&self, segment: &Segment, leg: Leg, row: &Row) -> (Line, Vec<String>) {
        let tone = tone(segment);
        let mut label = self.flags_and_mark(segment, leg);
        let is_start = leg == Leg::Whole || leg == Leg::Departs;
        let mut messages = if is_start { self.messages(segment) } else { Vec::new() };
        // Lane ends, one dash, a space on each side of the label, at least two dashes and the head.
        let room = self.middle.saturating_sub(6);
        if let Some(first) = messages.first()
            && label.chars().count() + 2 + first.chars().count() <= room
        {
            label = format!("{label}  {}", messages.remove(0));
        } else if is_start && segment.payload_len > 0 && segment.carries.is_empty() {
            label = format!("{label}  {} of data", byte_count(segment.payload_len.into()));
        }
        if label.chars().count() > room {
            label = label.chars().take(room.saturating_sub(1)).chain(['…']).collect();
        }
        let shape = Shape::of(segment, leg, self.connection.ends[segment.from].observed, row);
        let dash = if segment.is_repeat { '╌' } else { '─' };
        let line = shape.line(segment.from, (&label, tone), dash, self.middle);
        (line, messages)
    }

    fn flags_and_mark(&self, segment: &Segment, leg: Leg) -> String {
        let mut label = segment.header.flags.to_string();
        if segment.count > 1 {
            label = format!("{label} ×{}", segment.count);
        }
        let mark = match segment.transmission {
            Some(Transmission::TimeoutRetransmission) => "again (timeout)",
            Some(Transmission::FastRetransmission) => "again (fast)",
            Some(Transmission::LossProbe) => "again (probe)",
            Some(Transmission::PathProbe) => "path probe",
            Some(Transmission::WindowUpdate) => "window update",
            Some(Transmission::ChallengeAck) => "challenge",
            Some(Transmission::WindowProbe) => "window probe",
            Some(Transmission::KeepAlive) => "keep-alive",
            _ if self.is_stray(segment) => "of an earlier connection",
            _ if segment.is_repeat => "again",
            _ if self.is_duplicate_ack(segment) => "duplicate",
            _ => "",
        };
        let leg = match leg {
            Leg::Whole | Leg::Departs => "",
            Leg::Arrives => "arrives",
            Leg::ArrivesAgain => "a second copy",
        };
        for word in [mark, leg] {
            if !word.is_empty() {
                label = format!("{label} {word}");
            }
        }
        label
    }

    /// A segment that was sent before this connection began.
    fn is_stray(&self, segment: &Segment) -> bool {
        let opened = self.connection.events.first().map(|event| event.at);
        segment.sent.is_some_and(|sent| opened.is_some_and(|opened| sent < opened))
    }

    /// An acknowledgment that says once more what the one before said, with data still missing.
    fn is_duplicate_ack(&self, segment: &Segment) -> bool {
        let segments = &self.connection.segments;
        if !segment.is_pure_ack() {
            return false;
        }
        let earlier = segments.iter().take_while(|other| !std::ptr::eq(*other, segment));
        let mut sent_by_peer = 0;
        let mut previous = None;
        for other in earlier {
            if other.from == segment.from {
                previous = Some(other);
            } else {
                sent_by_peer = sent_by_peer.max(other.end());
            }
        }
        previous.is_some_and(|previous| {
            previous.ack == segment.ack
                && previous.window_bytes == segment.window_bytes
                && segment.ack < Some(sent_by_peer)
                && !previous.header.flags.syn()
        })
    }

    /// The HTTP messages in a segment, in words; what is asked or answered comes first.
    fn messages(&self, segment: &Segment) -> Vec<String> {
        let elements = &self.connection.http[segment.from];
        let mut messages: Vec<(bool, String)> = Vec::new();
        let mut answered = Vec::new();
        for carried in &segment.carries {
            let element = &elements[carried.element];
            let is_body_of_answer = element.kind == Kind::Body && answered.contains(&element.stream);
            if is_body_of_answer && carried.part == Part::Whole && element.end == End::Complete {
                continue; // the response before it has said how long it is
            }
            if element.kind == Kind::Response {
                answered.push(element.stream);
            }
            messages.push((element.kind == Kind::Control, said(carried, element)));
        }
        messages.sort_by_key(|(is_control, _)| *is_control);
        messages.into_iter().map(|(_, text)| text).collect()
    }
}

/// What is said of a message, or of the part of it that a segment has.
fn said(carried: &Carried, element: &Element) -> String {
    let len = byte_count(element.range.end - element.range.start);
    let sent = byte_count(carried.sent_bytes);
    let Some(stream) = element.stream else {
        let is_complete = element.end == End::Complete;
        return match carried.part {
            Part::Whole => element.to_string(),
            Part::Begins => format!("{element} …"),
            Part::Continues if is_complete => format!("… {sent} of {len}"),
            Part::Ends if is_complete => format!("… {len}, complete"),
            Part::Continues | Part::Ends => format!("… {sent} so far"),
        };
    };
    let is_last = element.kind == Kind::Body && element.end == End::Complete;
    let ends = if is_last { ", end" } else { "" };
    match carried.part {
        Part::Whole => format!("{}{ends} (stream {stream})", element.text),
        Part::Begins => format!("{element} …"),
        Part::Continues => format!("… {sent} of {len} (stream {stream})"),
        Part::Ends => format!("… {len}{ends} (stream {stream})"),
    }
}

/// What a segment is about decides its colour.
fn tone(segment: &Segment) -> Tone {
    let flags = segment.header.flags;
    if segment.is_repeat {
        Tone::Retransmit
    } else if flags.fin() || flags.rst() {
        Tone::Close
    } else if flags.syn() {
        Tone::Open
    } else if segment.payload_len > 0 {
        Tone::Data
    } else if !segment.header.options.sack.is_empty() {
        Tone::Sack
    } else {
        Tone::Ack
    }
}

/// Which ends of an arrow are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// From lane to lane.
    Whole,
    /// It comes from nowhere: this connection's sender did not send it.
    FromNowhere,
    /// It leaves, and arrives further down.
    Leaves,
    /// It left further up.
    Comes,
    Lost,
    /// The receiver was not observed and has not acknowledged it.
    Unanswered,
    /// The records end while it is on its way.
    InFlight,
}

impl Shape {
    fn of(segment: &Segment, leg: Leg, sender: Observed, row: &Row) -> Self {
        match (leg, segment.fate) {
            (Leg::Departs, _) => Self::Leaves,
            (Leg::Arrives | Leg::ArrivesAgain, _) => Self::Comes,
            (Leg::Whole, Fate::Lost) => Self::Lost,
            (Leg::Whole, Fate::Unknown) if segment.end() > segment.seq => Self::Unanswered,
            (Leg::Whole, Fate::InFlight | Fate::ArrivedInLaterConnection) => Self::InFlight,
            (Leg::Whole, _) if sender != Observed::FromPeer && row.at[segment.from].is_none() => {
                Self::FromNowhere
            }
            (Leg::Whole, _) => Self::Whole,
        }
    }

    /// The lanes and what is between them, `middle` columns wide.
    fn line(self, from: Side, (label, tone): (&str, Tone), dash: char, middle: usize) -> Line {
        // Drawn as seen by the sender: tail, dash, label, dashes, head; mirrored for the right end.
        let (tail, head) = match self {
            Self::Whole | Self::FromNowhere | Self::Comes => ("", "▶"),
            Self::Leaves => ("", "⋯"),
            Self::InFlight => ("", "⋯ on its way"),
            Self::Lost => ("", "✗ lost"),
            Self::Unanswered => ("", "? unanswered"),
        };
        let start = match self {
            Self::FromNowhere | Self::Comes => "⋯",
            _ => tail,
        };
        let taken = start.chars().count() + 3 + label.chars().count() + head.chars().count();
        let length = match self {
            Self::Whole | Self::FromNowhere | Self::Comes => middle,
            Self::Leaves => (middle / 2).max(taken + 2),
            Self::Lost | Self::Unanswered | Self::InFlight => (middle * 3 / 4).max(taken + 2),
        }
        .min(middle);
        let dashes: String = std::iter::repeat_n(dash, length.saturating_sub(taken)).collect();
        let head_tone = if self == Self::Lost { Tone::Lost } else { tone };
        let starts_at_lane = !matches!(self, Self::FromNowhere | Self::Comes);
        let mut parts = vec![
            (Tone::Quiet, if starts_at_lane { "├".to_owned() } else { "│".to_owned() }),
            (tone, format!("{start}{dash}")),
            (tone, format!(" {label} ")),
            (tone, dashes),
            (head_tone, head.to_owned()),
            (Tone::Quiet, " ".repeat(middle.saturating_sub(length.max(taken)))),
            (Tone::Quiet, "│".to_owned()),
        ];
        if from == Side::Right {
            parts.reverse();
            for (_, text) in &mut parts {
                *text = mirrored(text);
            }
        }
        let mut line = Line::default();
        for (tone, text) in parts {
            line.push(tone, text);
        }
        line
    }
}

/// A part of an arrow as it looks from the other side; words keep their direction.
fn mirrored(text: &str) -> String {
    match text {
        "├" => "┤".to_owned(),
        "▶" => "◀".to_owned(),
        "✗ lost" => "lost ✗".to_owned(),
        "? unanswered" => "unanswered ?".to_owned(),
        "⋯ on its way" => "on its way ⋯".to_owned(),
        _ if text.starts_with('⋯') => text.chars().rev().collect(),
        _ => text.to_owned(),
    }
}
