//! The search for a text that can be cut in two ways.
//!
//! It goes through the texts byte by byte, the shortest first, and holds where two cuts of one text can be. Before they
//! part both are at one place, so there are as many of these as the parts have states. What can part is looked up by the
//! next byte, so parts that begin differently cost nothing, however many may be empty.

use std::collections::{HashSet, VecDeque};

use super::automaton::{DEAD, Range};
use super::cut::{Inside, Machines};
use crate::budget::{Budget, Exhausted};

/// Steps for a node of the search, which is hashed and kept: some seventy bytes.
const STEPS_PER_NODE: u64 = 40;

/// Two cuts of `example` differ: a byte belongs to part `first` in one, to `second` in the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ambiguity {
    /// Position of a part.
    pub(super) first: usize,
    /// Position of a part.
    pub(super) second: usize,
    /// A text with two cuts.
    pub(super) example: String,
}

/// Where a cut is after some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Place {
    /// Before this part, which is the next one that it may enter: the one before was left.
    Gate(usize),
    /// Inside of a part, in this state.
    In(Inside),
}

/// Where two cuts of the same bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Node {
    /// They do not differ yet.
    Same(Place),
    /// They differ; the places are in order, since it does not matter whose is whose.
    Parted(Place, Place),
}

/// A node as it is kept. There are many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Packed([u32; 4]);

/// As a state: before a part.
const AT_GATE: u32 = DEAD;
/// As a part: there is no second place, since both are at the first.
const NO_OTHER: u32 = u32::MAX;

impl Packed {
    /// Parts are bytes of a text, and far fewer than four thousand millions.
    fn of(node: Node) -> Self {
        let place = |place: Place| match place {
            Place::Gate(part) => [u32::try_from(part).unwrap_or(NO_OTHER), AT_GATE],
            Place::In((part, state)) => [u32::try_from(part).unwrap_or(NO_OTHER), state],
        };
        let ([part, state], [other_part, other_state]) = match node {
            Node::Same(one) => (place(one), [NO_OTHER, AT_GATE]),
            Node::Parted(one, other) => (place(one), place(other)),
        };
        Self([part, state, other_part, other_state])
    }

    fn node(self) -> Node {
        let place = |part: u32, state: u32| match state {
            AT_GATE => Place::Gate(part as usize),
            state => Place::In((part as usize, state)),
        };
        let Self([part, state, other_part, other_state]) = self;
        match other_part {
            NO_OTHER => Node::Same(place(part, state)),
            _ => Node::Parted(place(part, state), place(other_part, other_state)),
        }
    }
}

impl Node {
    fn parted(one: Place, other: Place) -> Self {
        if one <= other { Self::Parted(one, other) } else { Self::Parted(other, one) }
    }
}

struct Search<'m> {
    machines: &'m Machines,
    budget: &'m Budget,
    known: HashSet<Packed>,
    /// By number: the node, the number of the one before it, and the byte between them; none where no byte is.
    nodes: Vec<(Packed, u32, Option<u8>)>,
    queue: VecDeque<usize>,
    /// What one more byte leads to from the node that is looked at.
    found: Vec<(u8, Node)>,
    /// By part: the first gate from which both cuts entered it. A later one adds nothing: what follows is the same.
    entered: Vec<Option<usize>>,
}

impl Machines {
    /// The shortest text with two cuts, if there is one.
    pub(super) fn ambiguity(&self, budget: &Budget) -> Result<Option<Ambiguity>, Exhausted> {
        let mut search = Search {
            machines: self,
            budget,
            known: HashSet::new(),
            nodes: Vec::new(),
            queue: VecDeque::new(),
            found: Vec::new(),
            entered: vec![None; self.len()],
        };
        search.run()
    }
}

impl Search<'_> {
    fn run(&mut self) -> Result<Option<Ambiguity>, Exhausted> {
        self.reach(Node::Same(Place::Gate(0)), 0, None)?;
        while let Some(number) = self.queue.pop_front() {
            // What is reached without a byte comes before all that needs one.
            let mut here = vec![number];
            while let Some(number) = here.pop() {
                let Some(node) = self.nodes.get(number).map(|(node, ..)| node.node()) else { continue };
                if let Node::Parted(Place::In(one), Place::In(other)) = node
                    && self.machines.finishes(one)
                    && self.machines.finishes(other)
                {
                    return Ok(Some(self.spell(number)));
                }
                self.expand(node)?;
                self.found.sort_by_key(|(byte, _)| rank(*byte));
                for (byte, node) in std::mem::take(&mut self.found) {
                    self.reach(node, number, Some(byte))?;
                }
                for node in self.left(node).into_iter().flatten() {
                    here.extend(self.number(node, number, None)?);
                }
            }
        }
        Ok(None)
    }

    /// The number of a node that was not reached before.
    fn number(&mut self, node: Node, before: usize, byte: Option<u8>) -> Result<Option<usize>, Exhausted> {
        self.budget.spend(1)?;
        let node = Packed::of(node);
        if self.known.contains(&node) {
            return Ok(None);
        }
        self.budget.spend(STEPS_PER_NODE)?;
        self.known.insert(node);
        let number = self.nodes.len();
        self.nodes.push((node, u32::try_from(before).map_err(|_| Exhausted)?, byte));
        Ok(Some(number))
    }

    fn reach(&mut self, node: Node, before: usize, byte: Option<u8>) -> Result<(), Exhausted> {
        let number = self.number(node, before, byte)?;
        self.queue.extend(number);
        Ok(())
    }

    /// What is reached from a node without a byte: one of its cuts leaves its part.
    fn left(&self, node: Node) -> [Option<Node>; 2] {
        let gate = |place: Place| match place {
            Place::In(inside) if self.machines.may_leave(inside) => Some(Place::Gate(inside.0 + 1)),
            _ => None,
        };
        match node {
            Node::Same(place) => [gate(place).map(Node::Same), None],
            Node::Parted(one, other) => {
                [gate(one).map(|one| Node::parted(one, other)), gate(other).map(|other| Node::parted(one, other))]
            }
        }
    }

    /// What one more byte leads to.
    fn expand(&mut self, node: Node) -> Result<(), Exhausted> {
        match node {
            Node::Same(Place::In(inside)) => {
                let ranges = self.machines.ranges(inside);
                self.budget.spend(1 + ranges.len() as u64)?;
                for range in &ranges {
                    self.found
                        .push((readable(range.first, range.last), Node::Same(Place::In((inside.0, range.target)))));
                }
                // One stays, the other leaves.
                if self.machines.may_leave(inside) {
                    self.stay_and_enter(inside.0, &ranges, inside.0 + 1)
                } else {
                    Ok(())
                }
            }
            Node::Same(Place::Gate(gate)) => self.gate(gate),
            Node::Parted(Place::In(one), Place::In(other)) => self.stay_and_stay(one, other),
            Node::Parted(Place::Gate(gate), Place::In(inside)) | Node::Parted(Place::In(inside), Place::Gate(gate)) => {
                let ranges = self.machines.ranges(inside);
                self.budget.spend(1 + ranges.len() as u64)?;
                self.stay_and_enter(inside.0, &ranges, gate)
            }
            Node::Parted(Place::Gate(one), Place::Gate(other)) => self.enter_and_enter(one, other),
        }
    }

    /// Both enter one part, or two.
    fn gate(&mut self, gate: usize) -> Result<(), Exhausted> {
        for (class, (first, last)) in self.machines.runs().iter().enumerate() {
            let byte = readable(*first, *last);
            let class = u8::try_from(class).unwrap_or(u8::MAX);
            let parts: Vec<_> =
                self.machines.entered(gate, class).map(|part| self.machines.begun(part, *first)).collect();
            self.budget.spend(1 + parts.len() as u64)?;
            for (position, one) in parts.iter().enumerate() {
                if self.entered.get_mut(one.0).is_none_or(|known| *known.get_or_insert(gate) != gate) {
                    continue;
                }
                self.found.push((byte, Node::Same(Place::In(*one))));
                let others = parts.get(position + 1..).unwrap_or_default();
                self.budget.spend(others.len() as u64)?;
                self.found.extend(others.iter().map(|other| (byte, Node::Parted(Place::In(*one), Place::In(*other)))));
            }
        }
        Ok(())
    }

    fn stay_and_stay(&mut self, one: Inside, other: Inside) -> Result<(), Exhausted> {
        let (ranges, others) = (self.machines.ranges(one), self.machines.ranges(other));
        self.budget.spend(1 + ranges.len() as u64 + others.len() as u64)?;
        let (mut at, mut other_at) = (ranges.iter().peekable(), others.iter().peekable());
        while let (Some(range), Some(against)) = (at.peek(), other_at.peek()) {
            let (first, last) = (range.first.max(against.first), range.last.min(against.last));
            if first <= last {
                let node = Node::parted(Place::In((one.0, range.target)), Place::In((other.0, against.target)));
                self.found.push((readable(first, last), node));
            }
            if range.last <= against.last {
                at.next()
            } else {
                other_at.next()
            };
        }
        Ok(())
    }

    /// One goes on inside of `part` by `ranges`, the other one enters what comes after `gate`.
    fn stay_and_enter(&mut self, part: usize, ranges: &[Range], gate: usize) -> Result<(), Exhausted> {
        for range in ranges {
            for class in self.machines.class(range.first)..=self.machines.class(range.last) {
                self.budget.spend(1)?;
                let Some((first, last)) = self.machines.runs().get(usize::from(class)).copied() else { continue };
                let byte = readable(first.max(range.first), last.min(range.last));
                for other in self.machines.entered(gate, class) {
                    self.budget.spend(1)?;
                    let other = Place::In(self.machines.begun(other, byte));
                    self.found.push((byte, Node::parted(Place::In((part, range.target)), other)));
                }
            }
        }
        Ok(())
    }

    fn enter_and_enter(&mut self, gate: usize, other_gate: usize) -> Result<(), Exhausted> {
        for (class, (first, last)) in self.machines.runs().iter().enumerate() {
            self.budget.spend(1)?;
            let (byte, class) = (readable(*first, *last), u8::try_from(class).unwrap_or(u8::MAX));
            for one in self.machines.entered(gate, class) {
                for other in self.machines.entered(other_gate, class) {
                    self.budget.spend(1)?;
                    let places = [one, other].map(|part| Place::In(self.machines.begun(part, byte)));
                    self.found.push((byte, Node::parted(places[0], places[1])));
                }
            }
        }
        Ok(())
    }

    /// The text that leads to a node, and the parts where its two cuts first differ.
    fn spell(&self, mut number: usize) -> Ambiguity {
        let (mut bytes, mut parts) = (Vec::new(), (0, 0));
        while number != 0
            && let Some((node, before, byte)) = self.nodes.get(number)
        {
            bytes.extend(*byte);
            if let (Node::Parted(Place::In(one), Place::In(other)), Some(_)) = (node.node(), byte) {
                parts = (one.0, other.0);
            }
            number = *before as usize;
        }
        bytes.reverse();
        Ambiguity { first: parts.0, second: parts.1, example: String::from_utf8_lossy(&bytes).into_owned() }
    }
}

/// The byte among these that an example is best read with.
fn readable(first: u8, last: u8) -> u8 {
    let among = |from: u8, to: u8| (first.max(from) <= last.min(to)).then(|| first.max(from));
    among(b'a', b'z').or_else(|| among(b'0', b'9')).unwrap_or(first)
}

/// Readable bytes first, for the example of a message.
fn rank(byte: u8) -> (u8, u8) {
    match byte {
        b'a'..=b'z' => (0, byte),
        b'0'..=b'9' => (1, byte),
        _ => (2, byte),
    }
}
