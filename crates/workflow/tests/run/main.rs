//! Whole runs, through the public interface alone.

#![cfg(test)]

#[cfg(test)]
mod approvals;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod loops;
#[cfg(test)]
mod machine;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod shipped;
#[cfg(test)]
mod world;
