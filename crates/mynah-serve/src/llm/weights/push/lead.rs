//! A coordinator whose replicas are reached by calls: its messages go out in their bodies, theirs come back in the
//! answers.

use std::path::Path;
use std::time::{Duration, Instant};

use mynah_swap::Hash;
use mynah_swap::protocol::{
    Action, CanaryStats, Coordinator, CoordinatorRecord, Event, Log, ReplicaId, ToCoordinator, UpdateSpec,
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
/// How long servers may take to come back to an update that was decided without them.
const RETURN: Duration = Duration::from_secs(10);
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
    /// What each server said of the trial last.
    canary: Vec<Option<CanaryStats>>,
    reason: String,
    began: Instant,
    /// The update's, once it has begun; not known of one that an earlier coordinator left.
    epoch: Option<u64>,
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
            canary: vec![None; links.len()],
            reason: String::new(),
            began: now,
            epoch: None,
        };
        lead.act(actions);
        Ok(lead)
    }

    fn act(&mut self, actions: Vec<Action>) {
        let term = self.coordinator.term();
        for action in actions {
            match action {
                Action::Send(to, message) => {
                    if let Some(queue) = self.outgoing.get_mut(to.0 as usize) {
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
                        if let ToCoordinator::CanaryReport { stats, .. } = &message {
                            self.canary[number] = Some(*stats);
                        }
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
        self.leave_who_has_forgotten(log)
    }

    /// Whether the update under way has been decided.
    fn is_decided(&self) -> bool {
        let is_committed = self.epoch.is_none_or(|epoch| self.coordinator.outcome(epoch) == Some(true));
        self.coordinator.is_updating() && is_committed
    }

    fn has_forgotten(why: &Option<String>) -> bool {
        why.as_ref().is_some_and(|why| why.contains(agent::UNKNOWN_PUSH))
    }

    /// A server that promised keeps its promise when it is started anew. One that knows of none any more has carried the
    /// decision out, or has lost its memory: it is not waited for, and asked what it serves at the end.
    fn leave_who_has_forgotten(&mut self, log: &mut dyn Log) -> Result<()> {
        if !self.is_decided() {
            return Ok(());
        }
        let forgot = self.heard.iter().enumerate().filter(|(_, (_, why))| Self::has_forgotten(why));
        let forgot: Vec<usize> = forgot.map(|(number, _)| number).collect();
        let status = self.coordinator.status();
        for number in forgot {
            let id = ReplicaId(number as u32);
            if status.members.iter().any(|member| member.replica == id && member.is_member) {
                let actions = self.coordinator.evict(id, "was started anew and knows of no update", log)?;
                self.act(actions);
            }
        }
        Ok(())
    }

    /// A server that cannot be reached for long.
    fn lost(&self) -> Option<String> {
        let is_lost = |at: &Instant, why: &Option<String>| {
            Self::has_forgotten(why) || (why.is_some() && at.elapsed() > SILENCE)
        };
        let found = self.heard.iter().zip(self.links).find(|((at, why), _)| is_lost(at, why));
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
        self.epoch = Some(epoch);
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
            self.wait_for_those_who_return(log)?;
            let status = self.coordinator.status();
            let back = status.members.iter().filter(|member| member.is_member);
            let back: Vec<String> = back.map(|member| self.name_of(member.replica)).collect();
            let serves = |link: &dyn Link| {
                let status: Value =
                    link.get("/admin/weights/status").ok().and_then(|b| serde_json::from_slice(&b).ok())?;
                Some(status["live"]["version"] == target.to_string() && status["push"].is_null())
            };
            let has_it: Vec<String> = self
                .links
                .iter()
                .filter(|link| {
                    self.left.iter().any(|(name, _)| name == link.name()) && serves(**link) == Some(true)
                })
                .map(|link| link.name().to_string())
                .collect();
            self.left.retain(|(name, _)| !back.contains(name) && !has_it.contains(name));
            return Ok(std::mem::take(&mut self.left));
        }
        Err(push_error(format!(
            "version {} was not taken; all servers keep what they had: {}",
            target.short(),
            self.in_words(&self.reason)
        )))
    }

    /// A server that was killed after its promise and started anew is told what was decided.
    fn wait_for_those_who_return(&mut self, log: &mut dyn Log) -> Result<()> {
        let since = Instant::now();
        while since.elapsed() < RETURN {
            let members = self.coordinator.status().members;
            let is_out = |(number, (_, why)): (usize, &(Instant, Option<String>))| {
                let found = members.iter().find(|member| member.replica.0 as usize == number);
                why.is_none() && found.is_some_and(|member| !member.is_member)
            };
            if !self.heard.iter().enumerate().any(is_out) {
                return Ok(());
            }
            self.round(log)?;
        }
        Ok(())
    }

    /// What all servers together said of the trial.
    pub(super) fn canary(&self) -> Option<Value> {
        let stats = self.canary.iter().flatten().copied().reduce(CanaryStats::plus)?;
        Some(json!({
            "requests": stats.requests, "errors": stats.errors, "nans": stats.nans, "probes": stats.probes,
            "mismatches": stats.mismatches, "base_requests": stats.base_requests, "base_errors": stats.base_errors,
        }))
    }

    /// Servers that can be reached and still take part in this push.
    fn are_waiting(&self) -> bool {
        let found = everywhere(self.links, |link| {
            let bytes = link.get("/admin/weights/status")?;
            let status: Value = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
            Ok(status["push"]["push"] == self.name)
        });
        found.into_iter().any(|waits| waits == Ok(true))
    }

    /// Ends what an earlier coordinator left. Gives the servers that could not be told.
    pub(super) fn recover(&mut self, log: &mut dyn Log) -> Result<(Recovered, Vec<String>)> {
        let is_committed = self.coordinator.is_updating() || self.coordinator.previous().is_some();
        if !is_committed {
            // Who has promised refuses this, and is told by the protocol.
            let body = json!({"push": self.name});
            let _ = everywhere(self.links, |link| link.post("/admin/weights/abort", &body));
        }
        let was_waiting = self.are_waiting();
        let has_news = was_waiting || self.outgoing.iter().any(|queue| !queue.is_empty());
        let since = Instant::now();
        self.round(log)?;
        while self.coordinator.is_updating() || (since.elapsed() < RETURN && self.are_waiting()) {
            self.round(log)?;
        }
        self.round(log)?;
        let gone = |(number, link): (usize, &&dyn Link)| {
            let is_away = link.get("/admin/weights/status").is_err();
            (is_away && self.heard[number].1.is_some()).then(|| link.name().to_string())
        };
        let gone = self.links.iter().enumerate().filter_map(gone).collect();
        let found = match (has_news, is_committed) {
            (false, _) => Recovered::Nothing,
            (true, true) => Recovered::Committed,
            (true, false) => Recovered::Aborted,
        };
        Ok((found, gone))
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

    fn upload(&self, path: &str, file: &Path) -> std::result::Result<Value, String> {
        self.link.upload(path, file)
    }

    fn download(&self, path: &str, body: &[u8], file: &Path) -> std::result::Result<u64, String> {
        self.link.download(path, body, file)
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
