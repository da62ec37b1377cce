//! A coordinator whose replicas are reached by calls: its messages go out in their bodies, theirs come back in the
//! answers.

use std::time::{Duration, Instant};

use mynah_swap::Hash;
use mynah_swap::protocol::{
    Action, Coordinator, CoordinatorRecord, Event, Log, ReplicaId, ToCoordinator, ToReplica, UpdateSpec,
};
use serde_json::{Value, json};

use super::super::agent;
use super::super::routes::{from_hex, to_hex};
use super::{Link, Recovered, everywhere, push_error};
use crate::error::Result;

/// How long all servers may take to become members.
const JOIN: Duration = Duration::from_secs(10);
/// How long a server may be unreachable before the decision.
const SILENCE: Duration = Duration::from_secs(5);
/// How long a call waits for messages.
const WAIT_MS: u64 = 20;

pub(super) struct Lead<'a> {
    links: &'a [&'a dyn Link],
    name: &'a str,
    coordinator: Coordinator,
    outgoing: Vec<Vec<String>>,
    joined: Vec<bool>,
    /// When each was heard last, and what the last call said since.
    heard: Vec<(Instant, Option<String>)>,
    left: Vec<(String, String)>,
    reason: String,
    began: Instant,
}

impl<'a> Lead<'a> {
    /// Takes the lead; in a new log with a term that no server has seen.
    pub(super) fn begin(
        links: &'a [&'a dyn Link],
        name: &'a str,
        term_highest: u64,
        log: &mut dyn Log,
    ) -> Result<Lead<'a>> {
        if log.count()? == 0 {
            let record = CoordinatorRecord::Term { term: term_highest, coordinator: 0 };
            log.append(0, &record.to_bytes())?;
        }
        let (coordinator, actions) = Coordinator::lead(0, &agent::config(), 0, log)?;
        let now = Instant::now();
        let mut lead = Lead {
            links,
            name,
            coordinator,
            outgoing: vec![Vec::new(); links.len()],
            joined: vec![false; links.len()],
            heard: vec![(now, None); links.len()],
            left: Vec::new(),
            reason: String::new(),
            began: now,
        };
        lead.act(actions);
        Ok(lead)
    }

    fn act(&mut self, actions: Vec<Action>) {
        let term = self.coordinator.term();
        for action in actions {
            match action {
                Action::Send(to, message) => {
                    let is_catch_up = matches!(message, ToReplica::CatchUp { .. });
                    if let Some(queue) = self.outgoing.get_mut(to.0 as usize)
                        && !is_catch_up
                    {
                        queue.push(to_hex(&message.to_bytes(term)));
                    }
                }
                Action::Report(Event::Joined(replica)) => {
                    if let Some(joined) = self.joined.get_mut(replica.0 as usize) {
                        *joined = true;
                    }
                }
                Action::Report(Event::Left(replica, why)) => {
                    self.left.push((self.name_of(replica), why));
                }
                Action::Report(Event::Decided { is_commit: false, reason, .. }) => self.reason = reason,
                Action::Report(_) => {}
            }
        }
    }

    fn name_of(&self, replica: ReplicaId) -> String {
        self.links.get(replica.0 as usize).map_or(replica.to_string(), |link| link.name().to_string())
    }

    /// The protocol's reasons name replicas; people know servers.
    fn in_words(&self, reason: &str) -> String {
        let mut text = reason.to_string();
        for (number, link) in self.links.iter().enumerate().rev() {
            text = text.replace(&ReplicaId(number as u32).to_string(), link.name());
        }
        text
    }

    /// One call of every server.
    fn round(&mut self, log: &mut dyn Log) -> Result<()> {
        let bodies: Vec<Value> = self
            .outgoing
            .iter_mut()
            .map(|queue| json!({"push": self.name, "messages": std::mem::take(queue), "wait_ms": WAIT_MS}))
            .collect();
        let links: Vec<Addressed<'_>> =
            self.links.iter().zip(&bodies).map(|(link, body)| Addressed { link: *link, body }).collect();
        let results = exchange(&links);
        for (number, result) in results.into_iter().enumerate() {
            match result {
                Ok(messages) => {
                    self.heard[number] = (Instant::now(), None);
                    for message in messages {
                        let actions = self.coordinator.handle(ReplicaId(number as u32), message, log)?;
                        self.act(actions);
                    }
                }
                Err(why) => self.heard[number].1 = Some(why),
            }
        }
        let now_ms = self.began.elapsed().as_millis() as u64;
        let actions = self.coordinator.tick(now_ms, log)?;
        self.act(actions);
        Ok(())
    }

    /// A server that cannot be reached for long.
    fn lost(&self) -> Option<String> {
        let found =
            self.heard.iter().zip(self.links).find(|((at, why), _)| why.is_some() && at.elapsed() > SILENCE);
        found.map(|((_, why), link)| format!("{}: {}", link.name(), why.clone().unwrap_or_default()))
    }

    /// From the servers' registration to the end of the update. Gives who was left behind.
    pub(super) fn carry_through(
        &mut self,
        spec: UpdateSpec,
        log: &mut dyn Log,
    ) -> Result<Vec<(String, String)>> {
        let (epoch, target): (u64, Hash) = (spec.epoch, spec.target);
        while !self.joined.iter().all(|joined| *joined) {
            self.round(log)?;
            if let Some(lost) = self.lost() {
                return Err(push_error(lost));
            }
            if self.began.elapsed() > JOIN {
                let silent: Vec<&str> = self
                    .links
                    .iter()
                    .zip(&self.joined)
                    .filter(|(_, j)| !**j)
                    .map(|(l, _)| l.name())
                    .collect();
                return Err(push_error(format!("{} did not join the update in time", silent.join(", "))));
            }
        }
        let actions = self.coordinator.start(spec, log)?;
        self.act(actions);
        while self.coordinator.is_updating() {
            self.round(log)?;
            if self.coordinator.outcome(epoch).is_none()
                && let Some(lost) = self.lost()
            {
                let actions = self.coordinator.abort(&lost, log)?;
                self.act(actions);
            }
        }
        // The last words: what was decided, and that all have it.
        self.round(log)?;
        if self.coordinator.outcome(epoch) == Some(true) {
            return Ok(std::mem::take(&mut self.left));
        }
        Err(push_error(format!(
            "version {} was not taken; all servers keep what they had: {}",
            target.short(),
            self.in_words(&self.reason)
        )))
    }

    /// Ends what an earlier coordinator left.
    pub(super) fn recover(&mut self, log: &mut dyn Log) -> Result<Recovered> {
        let is_committed = self.coordinator.is_updating();
        let has_news = self.outgoing.iter().any(|queue| !queue.is_empty());
        if !has_news && !is_committed {
            return Ok(Recovered::Nothing);
        }
        self.round(log)?;
        while self.coordinator.is_updating() {
            self.round(log)?;
        }
        self.round(log)?;
        Ok(if is_committed { Recovered::Committed } else { Recovered::Aborted })
    }
}

/// A call that is about to be made.
struct Addressed<'a> {
    link: &'a dyn Link,
    body: &'a Value,
}

impl Link for Addressed<'_> {
    fn name(&self) -> &str {
        self.link.name()
    }

    fn post(&self, path: &str, _: &Value) -> std::result::Result<Value, String> {
        self.link.post(path, self.body)
    }

    fn get(&self, path: &str) -> std::result::Result<Vec<u8>, String> {
        self.link.get(path)
    }

    fn upload(&self, path: &str, file: &std::path::Path) -> std::result::Result<Value, String> {
        self.link.upload(path, file)
    }
}

type Told = std::result::Result<Vec<ToCoordinator>, String>;

fn exchange(links: &[Addressed<'_>]) -> Vec<Told> {
    let links: Vec<&dyn Link> = links.iter().map(|link| link as &dyn Link).collect();
    everywhere(&links, |link| {
        let answer = link.post("/admin/weights/messages", &Value::Null)?;
        let items = answer["messages"].as_array().ok_or("the answer has no messages")?;
        let parse = |item: &Value| {
            let bytes = item.as_str().and_then(from_hex).ok_or("a message is no hex")?;
            ToCoordinator::parse(&bytes).map_err(|error| error.to_string())
        };
        items.iter().map(parse).collect()
    })
}
