//! A jail, its state file and real keys, and what it answers to whatever is said to it.

#![cfg(test)]

mod approvals;
mod demand;
mod jail_tenant;
mod snapshots;
mod standing;
mod stops;
