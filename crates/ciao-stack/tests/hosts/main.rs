//! Tests of whole hosts, one file a subject.

mod any_bytes;
mod fast_open;
mod fragments;
mod icmp_errors;
mod ip_rules;
mod listening;
mod many;
mod pair;
mod syn_flood;
mod tcp_between_hosts;
