//! Do our sockets and the kernel's understand each other over a TUN device?

#[cfg(test)]
mod kernel;
#[cfg(test)]
mod openings;
#[cfg(test)]
mod path;
