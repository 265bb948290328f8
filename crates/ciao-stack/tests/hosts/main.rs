//! Tests of whole hosts, one file a subject.

mod any_bytes;
mod binding;
mod fast_open;
mod fragments;
mod icmp_errors;
mod info;
mod ip_rules;
mod listening;
mod many;
mod memory;
mod pair;
mod path_mtu;
mod syn_flood;
mod tcp_between_hosts;
