//! Tests of whole connections that are no scripts, in one program, because each links everything anew.
//!
//! Scripts are in `scripts`.

mod any_input;
mod pair;
mod pair_close;
mod prediction;
mod reference;
mod reference_prr;
mod reference_rtt;
mod segment_arrives_table;
mod states_svg;
