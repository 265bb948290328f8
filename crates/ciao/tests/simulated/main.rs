//! Does a program written for tokio behave on these sockets as it does on the kernel's? Shown in virtual
//! time, with tokio's own tasks and timers.

#[cfg(test)]
mod closing;
#[cfg(test)]
mod datagrams;
#[cfg(test)]
mod fast_open;
#[cfg(test)]
mod halves;
#[cfg(test)]
mod hardship;
#[cfg(test)]
mod info;
#[cfg(test)]
mod listener;
#[cfg(test)]
mod live;
#[cfg(test)]
mod opening;
#[cfg(test)]
mod pair;
#[cfg(test)]
mod repeatable;
#[cfg(test)]
mod shutdown;
#[cfg(test)]
mod time;
#[cfg(test)]
mod transfer;
#[cfg(test)]
mod urgent;
