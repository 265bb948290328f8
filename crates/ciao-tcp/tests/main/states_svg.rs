//! Is `docs/states.svg` what `next_state` says? Drawn from it in full: each legal move is an arrow with its
//! causes, or, where it leads to CLOSED out of order, a line in the box of its state. `CIAO_BLESS=1` writes
//! the picture anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use ciao_tcp::state::{Cause, TcpState, next_state};

const WIDTH: i32 = 270;
const HEIGHT: i32 = 72;

/// Where the middle of a state's box is; RFC 9293 figure 5 from top to bottom.
fn place(state: TcpState) -> (i32, i32) {
    match state {
        TcpState::Closed => (500, 50),
        TcpState::Listen => (150, 170),
        TcpState::SynSent => (850, 310),
        TcpState::SynReceived => (150, 310),
        TcpState::Established => (500, 450),
        TcpState::FinWait1 => (150, 590),
        TcpState::CloseWait => (850, 590),
        TcpState::FinWait2 => (150, 730),
        TcpState::Closing => (500, 730),
        TcpState::LastAck => (850, 730),
        TcpState::TimeWait => (500, 870),
    }
}

/// CLOSED stands a second time below, for the connections that end as they should.
const END: (i32, i32) = (850, 1010);

fn colour(state: TcpState) -> &'static str {
    match state {
        TcpState::Closed => "#6b7280",
        TcpState::Listen | TcpState::SynSent | TcpState::SynReceived => "#0f766e",
        TcpState::Established => "#1d4ed8",
        _ => "#a21caf",
    }
}

/// Whether a move that leads to CLOSED is the last of an orderly close.
fn is_orderly_end(from: TcpState, cause: Cause) -> bool {
    matches!(
        (from, cause),
        (TcpState::LastAck, Cause::FinAcknowledged)
            | (TcpState::TimeWait, Cause::TimeWaitExpired | Cause::TimeWaitReused)
    )
}

/// All legal moves: the arrows, and what closes each state out of order.
type Arrows = BTreeMap<(TcpState, TcpState), Vec<Cause>>;
type Ends = BTreeMap<TcpState, Vec<Cause>>;

fn moves() -> (Arrows, Ends) {
    let (mut arrows, mut ends) = (Arrows::new(), Ends::new());
    for from in TcpState::ALL {
        for cause in Cause::ALL {
            match next_state(from, cause) {
                Some(TcpState::Closed) if !is_orderly_end(from, cause) => {
                    ends.entry(from).or_default().push(cause);
                }
                Some(to) => arrows.entry((from, to)).or_default().push(cause),
                None => {}
            }
        }
    }
    (arrows, ends)
}

fn draw() -> String {
    let (arrows, ends) = moves();
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1000 1070\" font-family=\"sans-serif\" \
         role=\"img\" aria-label=\"The states of a TCP connection and the causes of each move\">\n\
         <defs><marker id=\"head\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"8\" \
         markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0 10 5 0 10z\" fill=\"#374151\"/></marker></defs>\n\
         <rect width=\"1000\" height=\"1070\" fill=\"#ffffff\"/>\n",
    );
    for ((from, to), causes) in &arrows {
        let target = if *to == TcpState::Closed { END } else { place(*to) };
        arrow(&mut svg, place(*from), target, causes);
    }
    for state in TcpState::ALL {
        state_box(&mut svg, place(state), state, ends.get(&state).map_or(&[], Vec::as_slice));
    }
    state_box(&mut svg, END, TcpState::Closed, &[]);
    svg.push_str("</svg>\n");
    svg
}

fn arrow(svg: &mut String, from: (i32, i32), to: (i32, i32), causes: &[Cause]) {
    let (x1, y1) = border(from, to);
    let (x2, y2) = border(to, from);
    let _ = writeln!(
        svg,
        "<path d=\"M{x1} {y1}L{x2} {y2}\" stroke=\"#374151\" stroke-width=\"1.5\" marker-end=\"url(#head)\"/>"
    );
    let label: Vec<&str> = causes.iter().map(|cause| cause.name()).collect();
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" font-size=\"15\" text-anchor=\"middle\" stroke=\"#ffffff\" stroke-width=\"5\" \
         paint-order=\"stroke\" fill=\"#111827\">{}</text>",
        i32::midpoint(x1, x2),
        i32::midpoint(y1, y2) + 5,
        label.join(" / ")
    );
}

/// Where the line from the middle of the box at `from` towards `to` leaves the box.
fn border(from: (i32, i32), to: (i32, i32)) -> (i32, i32) {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    if dx.abs() * HEIGHT > dy.abs() * WIDTH {
        (from.0 + dx.signum() * WIDTH / 2, from.1 + dy * (WIDTH / 2) / dx.abs())
    } else {
        (from.0 + dx * (HEIGHT / 2) / dy.abs(), from.1 + dy.signum() * HEIGHT / 2)
    }
}

fn state_box(svg: &mut String, (x, y): (i32, i32), state: TcpState, ends: &[Cause]) {
    let (left, top) = (x - WIDTH / 2, y - HEIGHT / 2);
    let _ = writeln!(
        svg,
        "<rect x=\"{left}\" y=\"{top}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"10\" fill=\"#ffffff\" \
         stroke=\"{0}\" stroke-width=\"2.5\"/>\n<text x=\"{x}\" y=\"{1}\" font-size=\"19\" font-weight=\"bold\" \
         text-anchor=\"middle\" fill=\"{0}\">{state}</text>",
        colour(state),
        if ends.is_empty() { y + 7 } else { top + 24 },
    );
    let names: Vec<&str> = ends.iter().map(|cause| cause.name()).collect();
    for (row, names) in (0..).zip(names.chunks(3)) {
        let start = if row == 0 { "CLOSED on: " } else { "" };
        let _ = writeln!(
            svg,
            "<text x=\"{x}\" y=\"{}\" font-size=\"10.5\" text-anchor=\"middle\" fill=\"#4b5563\">\
             {start}{}</text>",
            top + 43 + 16 * row,
            names.join(", ")
        );
    }
}

#[test]
fn the_picture_of_the_states_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/states.svg");
    let svg = draw();
    if std::env::var_os("CIAO_BLESS").is_some() {
        std::fs::write(&path, &svg).expect("docs can be written");
    }
    let tracked = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        svg == tracked,
        "CIAO_BLESS=1 cargo test -p ciao-tcp --test states_svg draws docs/states.svg anew"
    );
}

#[test]
fn every_legal_move_is_in_the_picture() {
    let (arrows, ends) = moves();
    let drawn: usize = arrows.values().chain(ends.values()).map(Vec::len).sum();
    let legal = TcpState::ALL
        .into_iter()
        .flat_map(|from| Cause::ALL.into_iter().filter_map(move |cause| next_state(from, cause)))
        .count();
    assert_eq!(drawn, legal);
    let svg = draw();
    for cause in Cause::ALL {
        assert!(svg.contains(cause.name()), "{cause} is not drawn");
    }
}
