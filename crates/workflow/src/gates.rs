//! What stands behind an approval: actions that a document calls only once people have approved.
//!
//! In: a document's task lists. Out: for each task that asks, the actions of which *every* call is
//! reached through it alone. This is signed when the document is published, and the jail refuses such
//! an action until it has the approval on record, whatever its runner says.
//!
//! A task that asks guards what comes after it in its own list, and whatever is below that. Where a
//! path may go round it (`then`, `switch`, its own `if`), it guards nothing that the path reaches.
//! Approximate on one side only: what is said to be behind an approval is.
//!
//! Not here: how often an action is called after one approval; that is the document's to say.

use std::collections::{BTreeMap, BTreeSet};

use crate::document::{ActionUse, ApprovalUse, Kind, Task, Then};

type Lists = BTreeMap<String, Vec<Task>>;
/// Pointers of the tasks that ask.
type Asking<'a> = BTreeSet<&'a str>;

/// Every task that asks, with the actions behind it.
pub(crate) fn approvals(lists: &Lists) -> Vec<ApprovalUse> {
    let mut calls: BTreeMap<ActionUse, Asking<'_>> = BTreeMap::new();
    let mut open: Vec<(&str, Asking<'_>)> = vec![("/do", Asking::new())];
    while let Some((list, outer)) = open.pop() {
        let Some(tasks) = lists.get(list) else { continue };
        for (index, task) in tasks.iter().enumerate() {
            let mut asked = outer.clone();
            asked.extend(passed_before(tasks, index));
            if let Kind::Call { action, pack, connection, .. } = &task.kind {
                let (action, pack) = (action.clone(), pack.clone());
                let used = ActionUse { action, pack, connection: connection.clone() };
                calls
                    .entry(used)
                    .and_modify(|known| known.retain(|asking| asked.contains(asking)))
                    .or_insert_with(|| asked.clone());
            }
            open.extend(below(task).into_iter().map(|list| (list, asked.clone())));
        }
    }
    let asking = lists.values().flatten().filter_map(|task| {
        let Kind::Approval(approval) = &task.kind else { return None };
        Some((task.pointer.as_str(), approval.quorum))
    });
    asking
        .map(|(task, quorum)| ApprovalUse {
            task: task.to_owned(),
            quorum,
            behind: calls
                .iter()
                .filter(|(_, asked)| asked.contains(task))
                .map(|(used, _)| used.clone())
                .collect(),
        })
        .collect()
}

/// The lists of a task.
fn below(task: &Task) -> Vec<&str> {
    match &task.kind {
        Kind::Do { list } => vec![list],
        Kind::For(definition) => vec![&definition.list],
        Kind::Try(definition) => std::iter::once(&definition.body)
            .chain(&definition.handler)
            .map(String::as_str)
            .collect(),
        Kind::Set(_)
        | Kind::Switch(_)
        | Kind::Raise(_)
        | Kind::Wait(_)
        | Kind::Call { .. }
        | Kind::Approval(_)
        | Kind::Run(_) => Vec::new(),
    }
}

/// Tasks of a list that ask, and that every way to the task at `goal` goes through.
fn passed_before(tasks: &[Task], goal: usize) -> impl Iterator<Item = &str> {
    tasks.iter().enumerate().filter_map(move |(index, task)| {
        let asks = matches!(task.kind, Kind::Approval(_)) && task.condition.is_none();
        (asks && index != goal && !is_reached(tasks, goal, index)).then_some(task.pointer.as_str())
    })
}

/// Whether the list can come to `goal` without having done `avoided`.
fn is_reached(tasks: &[Task], goal: usize, avoided: usize) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![0];
    while let Some(index) = open.pop() {
        if index == avoided || !seen.insert(index) {
            continue;
        }
        if index == goal {
            return true;
        }
        let Some(task) = tasks.get(index) else { continue };
        open.extend(ways_on(task).filter_map(|then| match then {
            Then::Continue => Some(index.saturating_add(1)),
            Then::Task(next) => Some(next),
            Then::Exit | Then::End => None,
        }));
    }
    false
}

/// Where the list may go after a task; one that is skipped goes on.
fn ways_on(task: &Task) -> impl Iterator<Item = Then> {
    let skipped = task.condition.is_some().then_some(Then::Continue);
    let cases = if let Kind::Switch(cases) = &task.kind { cases.as_slice() } else { &[] };
    cases.iter().map(|case| case.then).chain(skipped).chain([task.then])
}
