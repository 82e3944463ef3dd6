//! One process of `ssh` or `srun` and the receivers at its other end, from its start to its end.
//!
//! What it means that a process ended so is in `verdict`.

use std::collections::VecDeque;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use super::lines::Lines;
use super::verdict::{self, End};
use super::way::Way;
use super::words::{Down, Up};
use super::{Call, LaunchOptions, Orders, Told};

/// Between two signs of life down.
const ALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// What a process may take to end when its input is closed, and again when it was asked to.
const END_MAX: Duration = Duration::from_secs(3);

/// The last words of a process that has ended may still be on their way. A shared connection of `ssh`
/// (ControlPersist) keeps the pipe open for ever.
const LAST_WORDS_MAX: Duration = Duration::from_millis(200);

/// Lines of each node that are kept.
const WORDS_KEPT: usize = 4;

/// Attempts at a server that turns some away because it is asked by many.
const ATTEMPTS_MAX: u32 = 4;

/// Before another attempt, times its number.
const RETRY_AFTER: Duration = Duration::from_millis(300);

/// How far a node has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Starting,
    Answered,
    Listening,
    Joined,
    /// Nothing more is told of it.
    Over,
}

struct Node {
    name: String,
    stage: Stage,
    words: VecDeque<String>,
    /// What it said last of attempts that came to nothing.
    trouble: Option<String>,
}

/// A node whose task has ended, as `srun` says.
struct Ended {
    name: String,
    code: Option<i32>,
    /// Until then it may still be heard saying why.
    until: Instant,
}

/// A process and the nodes at its other end.
pub(super) struct Connection {
    way: Way,
    call: Call,
    remote: String,
    patience: Duration,
    nodes: Vec<Node>,
    orders: watch::Receiver<Orders>,
    telling: Sender<Told>,
    /// Lines of the orders that were passed on.
    passed: usize,
    is_called: bool,
    deadline: Instant,
    ended: Vec<Ended>,
}

/// The ends of the pipes to a process.
struct Pipes {
    input: Option<ChildStdin>,
    output: Lines<ChildStdout>,
    errors: Lines<ChildStderr>,
}

impl Connection {
    pub(super) fn new(
        options: &LaunchOptions,
        nodes: Vec<String>,
        orders: watch::Receiver<Orders>,
        telling: Sender<Told>,
    ) -> Self {
        let node = |name| Node {
            name,
            stage: Stage::Starting,
            words: VecDeque::new(),
            trouble: None,
        };
        Self {
            way: options.way.clone(),
            call: options.call.clone(),
            remote: options.remote.clone(),
            patience: options.patience,
            nodes: nodes.into_iter().map(node).collect(),
            orders,
            telling,
            passed: 0,
            is_called: false,
            deadline: Instant::now(),
            ended: Vec::new(),
        }
    }

    /// Starts the process when there is a place, and follows it to its end.
    pub(super) async fn run(mut self, places: Arc<Semaphore>) {
        for attempt in 1..=ATTEMPTS_MAX {
            let Some(place) = self.place(&places).await else {
                return;
            };
            match self.attempt(place).await {
                Ok(status) => {
                    let code = status.and_then(verdict::code);
                    let may_retry = attempt < ATTEMPTS_MAX && !self.has_answered();
                    if may_retry && verdict::is_passing(&self.way, code, &self.words(0)) {
                        sleep(RETRY_AFTER * attempt).await;
                        continue;
                    }
                    self.bury(code);
                }
                Err(error) => {
                    let program = self.way.as_str();
                    self.lose_all(&format!("cannot start {program}: {error}"));
                }
            }
            return;
        }
    }

    /// A place among those that start at one time; none when everything is over.
    async fn place(&mut self, places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        tokio::select! {
            place = Arc::clone(places).acquire_owned() => place.ok(),
            _ = self.orders.wait_for(|orders| orders.is_over) => None,
        }
    }

    /// One process. Answers how it ended; nothing where it had to be killed.
    async fn attempt(&mut self, place: OwnedSemaphorePermit) -> io::Result<Option<ExitStatus>> {
        let names: Vec<String> = self.nodes.iter().map(|node| node.name.clone()).collect();
        let words = self.way.command(&names, &self.remote, self.patience);
        let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A Ctrl-C at the terminal is for the one who launched: it ends the others in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let mut pipes = Pipes {
            input: child.stdin.take(),
            output: Lines::new(child.stdout.take()),
            errors: Lines::new(child.stderr.take()),
        };
        (self.passed, self.is_called) = (0, false);
        self.deadline = Instant::now() + self.patience;
        let ended = self.follow(&mut child, &mut pipes, place).await;
        pipes.input = None;
        let status = match ended {
            Some(status) => Some(status),
            None => end(&mut child, &mut pipes).await,
        };
        let rest = async {
            while let Some(line) = pipes.output.next().await {
                self.hear(&line);
            }
            while let Some(line) = pipes.errors.next().await {
                self.note(&line);
            }
        };
        let _in_time = timeout(LAST_WORDS_MAX, rest).await;
        Ok(status)
    }

    /// Passes lines up and down until the process has ended, everything is over, or no node is left.
    async fn follow(
        &mut self,
        child: &mut Child,
        pipes: &mut Pipes,
        place: OwnedSemaphorePermit,
    ) -> Option<ExitStatus> {
        let mut place = Some(place);
        let mut alive = interval(ALIVE_INTERVAL);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut orders = self.orders.clone();
        loop {
            if !self.is_starting() {
                drop(place.take());
            }
            if orders.borrow_and_update().is_over || self.nodes.iter().all(Node::is_over) {
                return None;
            }
            self.pass_on(pipes).await;
            let deadline = self.next_deadline();
            tokio::select! {
                status = child.wait() => return status.ok(),
                line = pipes.output.next(), if !pipes.output.is_over() => {
                    if let Some(line) = line {
                        self.hear(&line);
                    }
                }
                line = pipes.errors.next(), if !pipes.errors.is_over() => {
                    if let Some(line) = line {
                        self.note(&line);
                    }
                }
                _ = orders.changed() => {
                    // Those that listen are now expected to take part.
                    self.deadline = Instant::now() + self.patience;
                }
                _ = alive.tick() => {
                    write(pipes, self.is_called, &Down::Alive.line()).await;
                    // Those that could not reach the session try again.
                    self.passed = 0;
                }
                () = sleep_until(deadline) => {
                    self.bury_ended(Instant::now());
                    self.give_up_late();
                    // One that never answers must not keep its place.
                    drop(place.take());
                }
            }
        }
    }

    /// Tells the receivers what they have not been told.
    async fn pass_on(&mut self, pipes: &mut Pipes) {
        if !self.has_answered() {
            return;
        }
        if !self.is_called {
            self.is_called = true;
            let mut call = self.call.clone();
            if let [only] = &self.nodes[..] {
                call.name = Some(only.name.clone());
            }
            write(pipes, true, &Down::Call(call).line()).await;
        }
        let lines = Arc::clone(&self.orders.borrow().lines);
        for line in lines.iter().skip(self.passed) {
            write(pipes, true, line).await;
        }
        self.passed = lines.len();
    }

    /// A line of standard output.
    fn hear(&mut self, line: &str) {
        let (number, text) = self.labelled(line);
        match Up::read(text) {
            Some(said) => self.take_in(number, said),
            None => self.keep(number, text),
        }
    }

    /// A line of standard error.
    fn note(&mut self, line: &str) {
        let (number, text) = self.labelled(line);
        match verdict::ended_tasks(text).filter(|_| self.way.labels()) {
            Some((nodes, code)) => {
                // What the task said and what is said of it come by different ways.
                let until = Instant::now() + LAST_WORDS_MAX;
                let names = self.nodes.iter().map(|node| node.name.clone());
                let ended = names.filter(|name| nodes.contains(name));
                let ended = ended.map(|name| Ended { name, code, until });
                self.ended.extend(ended);
            }
            None => self.keep(number, text),
        }
    }

    fn take_in(&mut self, number: Option<usize>, said: Up) {
        // A node that says its name is that one, whatever its number.
        let named = match &said {
            Up::Hello(hello) => hello.name.as_deref(),
            _ => None,
        };
        let by_name = named.and_then(|name| self.nodes.iter().position(|node| node.name == name));
        if let (Some(found), Some(number)) = (by_name, number)
            && number < self.nodes.len()
        {
            self.nodes.swap(found, number);
        }
        let Some(index) = number.or(by_name).filter(|index| *index < self.nodes.len()) else {
            return;
        };
        let Some(node) = self.nodes.get_mut(index).filter(|node| !node.is_over()) else {
            return;
        };
        match said {
            Up::Hello(hello) => match hello.mismatch() {
                None => node.stage = Stage::Answered,
                Some(reason) => self.lose(index, reason),
            },
            Up::Listening => {
                node.stage = Stage::Listening;
                let _nobody = self.telling.send(Told::Listening(node.name.clone()));
            }
            Up::Joining => node.stage = Stage::Joined,
            Up::Trouble { reason } => node.trouble = Some(reason),
            Up::Ended { failure: None } => node.stage = Stage::Over,
            Up::Ended {
                failure: Some(reason),
            } => self.lose(index, reason),
        }
    }

    /// The number of the node that a line is from, and the line itself.
    fn labelled<'a>(&self, line: &'a str) -> (Option<usize>, &'a str) {
        if !self.way.labels() {
            return (Some(0), line);
        }
        let label = line.trim_start().split_once(": ");
        match label.and_then(|(number, text)| Some((number.parse().ok()?, text))) {
            Some((number, text)) => (Some(number), text),
            None => (None, line),
        }
    }

    /// Keeps a line for the case that its node, or with no number any node, is lost.
    fn keep(&mut self, number: Option<usize>, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        for (index, node) in self.nodes.iter_mut().enumerate() {
            if number.is_none_or(|number| number == index) {
                if node.words.len() == WORDS_KEPT {
                    node.words.pop_front();
                }
                node.words.push_back(text.to_owned());
            }
        }
    }

    fn words(&self, index: usize) -> String {
        let words = self.nodes.get(index).map(|node| &node.words);
        let words = words.into_iter().flatten().cloned();
        words.collect::<Vec<_>>().join("; ")
    }

    fn has_answered(&self) -> bool {
        self.nodes.iter().any(|node| node.stage > Stage::Starting)
    }

    /// Whether there is a session to take part in.
    fn is_called_to(&self) -> bool {
        !self.orders.borrow().lines.is_empty()
    }

    fn is_starting(&self) -> bool {
        let starts = |node: &Node| node.stage < Stage::Listening;
        self.nodes.iter().any(starts)
    }

    /// When the slowest node is late; a day away where none can be.
    fn next_deadline(&self) -> Instant {
        let day = Instant::now() + Duration::from_secs(24 * 3600);
        let is_awaited = |node: &Node| node.is_late_without(self.is_called_to());
        let deadline = if self.nodes.iter().any(is_awaited) {
            self.deadline
        } else {
            day
        };
        let ended = self.ended.iter().map(|ended| ended.until).min();
        ended.map_or(deadline, |until| until.min(deadline))
    }

    /// Buries the nodes whose task has ended and that had until `now` to say why.
    fn bury_ended(&mut self, now: Instant) {
        let ended = std::mem::take(&mut self.ended).into_iter();
        let (due, later): (Vec<_>, Vec<_>) = ended.partition(|ended| ended.until <= now);
        self.ended = later;
        for Ended { name, code, .. } in due {
            if let Some(index) = self.nodes.iter().position(|node| node.name == name) {
                self.bury_one(index, code);
            }
        }
    }

    /// Loses the nodes that have had their time.
    fn give_up_late(&mut self) {
        if Instant::now() < self.deadline {
            return;
        }
        let called_to = self.is_called_to();
        for index in 0..self.nodes.len() {
            let node = &self.nodes[index];
            if !node.is_late_without(called_to) {
                continue;
            }
            let seconds = self.patience.as_secs_f32();
            let reason = match (node.stage, &node.trouble) {
                (_, Some(trouble)) => trouble.clone(),
                (Stage::Listening, None) => format!(
                    "its receiver runs, but did not reach this node in {seconds:.0} s: is there a \
                     firewall, or another interface?"
                ),
                (Stage::Answered, None) => {
                    format!("grappe there did not come up in {seconds:.0} s")
                }
                _ => {
                    let how = format!("no answer by {} in {seconds:.0} s", self.way.as_str());
                    verdict::with_words(&how, &self.words(index))
                }
            };
            self.lose(index, reason);
        }
    }

    /// The process has ended: so have all its receivers.
    fn bury(&mut self, code: Option<i32>) {
        self.bury_ended(Instant::now() + LAST_WORDS_MAX);
        for index in 0..self.nodes.len() {
            self.bury_one(index, code);
        }
    }

    fn bury_one(&mut self, index: usize, code: Option<i32>) {
        let node = &self.nodes[index];
        // At the end of everything, an end is no loss.
        if node.is_over() || self.orders.borrow().is_over {
            return;
        }
        let words = self.words(index);
        let reason = verdict::reason(End {
            way: &self.way,
            node: &node.name,
            remote: &self.remote,
            code,
            words: &words,
            had_answered: node.stage > Stage::Starting,
        });
        self.lose(index, reason);
    }

    fn lose_all(&mut self, reason: &str) {
        for index in 0..self.nodes.len() {
            self.lose(index, reason.to_owned());
        }
    }

    fn lose(&mut self, index: usize, reason: String) {
        if let Some(node) = self.nodes.get_mut(index)
            && !node.is_over()
        {
            node.stage = Stage::Over;
            let _nobody = self.telling.send(Told::Lost(node.name.clone(), reason));
        }
    }
}

impl Node {
    fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Whether it should have come further: to listening, and to taking part once `called_to` a session.
    fn is_late_without(&self, called_to: bool) -> bool {
        self.stage < Stage::Listening || (self.stage == Stage::Listening && called_to)
    }
}

/// A process that does not read is ended by its own deadline; one that is gone, by its status.
async fn write(pipes: &mut Pipes, is_called: bool, line: &str) {
    if let Some(input) = pipes.input.as_mut().filter(|_| is_called) {
        let written = timeout(END_MAX, input.write_all(line.as_bytes())).await;
        if !matches!(written, Ok(Ok(()))) {
            pipes.input = None;
        }
    }
}

/// Ends a process whose input is closed: by itself, by request, by force. Its output is read meanwhile,
/// so that it does not wait for that.
async fn end(child: &mut Child, pipes: &mut Pipes) -> Option<ExitStatus> {
    for signal in [None, Some(Signal::TERM), Some(Signal::KILL)] {
        let group = child
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let (Some(signal), Some(group)) = (signal, group) {
            // It has a group of its own, with what a script around `ssh` has started.
            let _gone = kill_process_group(group, signal);
        }
        let deadline = Instant::now() + END_MAX;
        loop {
            tokio::select! {
                status = child.wait() => return status.ok(),
                _ = pipes.output.next(), if !pipes.output.is_over() => {}
                _ = pipes.errors.next(), if !pipes.errors.is_over() => {}
                () = sleep_until(deadline) => break,
            }
        }
    }
    None
}
