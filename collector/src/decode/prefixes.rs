//! The starts of attribute names that mean something, all looked for in one walk along the name.

use super::convention::Namespace;

/// A tree of the prefixes, one byte a step.
#[derive(Debug)]
pub(super) struct Prefixes {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    next: Vec<(u8, u16)>,
    namespace: Option<Namespace>,
    /// The place of the configured prefix that ends here among its like: less is stronger.
    dimensions: Option<u16>,
}

/// What the start of a name says.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Start {
    /// What the longest prefix of a convention says.
    pub(super) namespace: Option<Namespace>,
    /// Where in the name a dimension's own name begins, behind the first configured prefix that fits.
    pub(super) dimensions_behind: Option<usize>,
}

impl Default for Prefixes {
    fn default() -> Self {
        Self { nodes: vec![Node::default()] }
    }
}

impl Prefixes {
    /// Adds a prefix of a convention. Of two equal ones the first stands: its convention is stronger.
    pub(super) fn add_namespace(&mut self, prefix: &str, namespace: Namespace) {
        self.node(prefix).namespace.get_or_insert(namespace);
    }

    /// Adds a prefix behind which dimensions are told, weaker than those before.
    pub(super) fn add_dimensions(&mut self, prefix: &str) {
        let order = self.nodes.iter().filter(|node| node.dimensions.is_some()).count() as u16;
        self.node(prefix).dimensions.get_or_insert(order);
    }

    fn node(&mut self, prefix: &str) -> &mut Node {
        let mut at = 0;
        for byte in prefix.bytes() {
            at = match step(&self.nodes[at], byte) {
                Some(next) => next,
                None => {
                    let next = self.nodes.len();
                    self.nodes[at].next.push((byte, next as u16));
                    self.nodes.push(Node::default());
                    next
                }
            };
        }
        &mut self.nodes[at]
    }

    /// What a name's start says.
    pub(super) fn start_of(&self, name: &str) -> Start {
        let mut start = Start::default();
        let mut strongest = u16::MAX;
        let mut at = 0;
        for (position, byte) in name.bytes().enumerate() {
            let Some(next) = step(&self.nodes[at], byte) else { break };
            let node = &self.nodes[next];
            start.namespace = node.namespace.or(start.namespace);
            if let Some(order) = node.dimensions
                && order < strongest
            {
                strongest = order;
                start.dimensions_behind = Some(position + 1);
            }
            at = next;
        }
        start
    }
}

fn step(node: &Node, byte: u8) -> Option<usize> {
    node.next.iter().find(|(known, _)| *known == byte).map(|(_, next)| usize::from(*next))
}
