//! Boosted trees, read as they lie in the program: nothing is loaded, and sums are of whole numbers in a fixed order, so that the same
//! prompt gives the same answer on every processor.
//!
//! `train/train.py` writes the file: for each head a base value and a number of trees; for each tree a number of nodes, the nodes, and
//! one leaf more than nodes. All numbers are little-endian; values are millionths.

use super::features::Values;

/// What is foretold, in the order of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// The quality that a small model gives, 0 to 1.
    Small,
    /// What a medium model gives more.
    Medium,
    /// What a large model gives more than a small one.
    Large,
    /// The natural logarithm of the tokens of the answer.
    Tokens,
}

const HEADS: [Head; 4] = [Head::Small, Head::Medium, Head::Large, Head::Tokens];

/// Bytes of a node: feature, left, right, threshold, and the value that a prompt has which comes so far.
const NODE: usize = 3 + 4 + 4;
const LEAF: usize = 4;
/// A child from here on is a leaf.
const LEAVES: u8 = 128;

/// A file of heads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Model<'a>(pub(crate) &'a [u8]);

impl<'a> Model<'a> {
    /// What each head foretells, in millionths; `moved` is told by how much each feature that was looked at moved it.
    pub(crate) fn foretell(
        self,
        values: &Values,
        mut moved: impl FnMut(Head, usize, i32),
    ) -> [i32; HEADS.len()] {
        let mut rest = self.0;
        HEADS.map(|head| {
            let Some((base, trees, behind)) = begin(rest) else {
                return 0;
            };
            rest = behind;
            let mut sum = base;
            for _ in 0..trees {
                let Some((tree, behind)) = Tree::read(rest) else {
                    break;
                };
                rest = behind;
                let leaf = tree.walk(values, &mut |feature, by| moved(head, feature, by));
                sum += leaf.unwrap_or(0);
            }
            sum
        })
    }

    /// Whether it is a file of four heads, to its end, in which every step leads on.
    #[cfg(test)]
    pub(crate) fn is_sound(self, features: usize) -> bool {
        let mut rest = self.0;
        for _ in HEADS {
            let Some(behind) = sound_head(rest, features) else {
                return false;
            };
            rest = behind;
        }
        rest.is_empty()
    }
}

/// Base value and number of trees of a head, and what lies behind.
fn begin(head: &[u8]) -> Option<(i32, u16, &[u8])> {
    let (base, rest) = head.split_first_chunk()?;
    let (trees, rest) = rest.split_first_chunk()?;
    Some((i32::from_le_bytes(*base), u16::from_le_bytes(*trees), rest))
}

/// A tree: its nodes, and one leaf more.
struct Tree<'a> {
    nodes: &'a [[u8; NODE]],
    leaves: &'a [[u8; LEAF]],
}

impl<'a> Tree<'a> {
    /// The first tree, and what lies behind.
    fn read(trees: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (count, rest) = trees.split_first()?;
        let count = usize::from(*count);
        let (nodes, rest) = rest.split_at_checked(count * NODE)?;
        let (leaves, rest) = rest.split_at_checked((count + 1) * LEAF)?;
        let (nodes, leaves) = (nodes.as_chunks().0, leaves.as_chunks().0);
        Some((Self { nodes, leaves }, rest))
    }

    /// The leaf of a prompt, and on the way there what each step changed.
    fn walk(&self, values: &Values, moved: &mut impl FnMut(usize, i32)) -> Option<i32> {
        let leaf = |child: u8| {
            let leaf = self.leaves.get(usize::from(child - LEAVES))?;
            Some(i32::from_le_bytes(*leaf))
        };
        let mut child = if self.nodes.is_empty() { LEAVES } else { 0 };
        let mut before = None;
        while child < LEAVES {
            let [feature, left, right, t0, t1, t2, t3, v0, v1, v2, v3] =
                *self.nodes.get(usize::from(child))?;
            let feature = usize::from(feature);
            let value = i32::from_le_bytes([v0, v1, v2, v3]);
            if let Some((feature, before)) = before {
                moved(feature, value - before);
            }
            before = Some((feature, value));
            let is_left = *values.get(feature)? <= i32::from_le_bytes([t0, t1, t2, t3]);
            child = if is_left { left } else { right };
        }
        let leaf = leaf(child)?;
        if let Some((feature, before)) = before {
            moved(feature, leaf - before);
        }
        Some(leaf)
    }
}

#[cfg(test)]
fn sound_head(head: &[u8], features: usize) -> Option<&[u8]> {
    let (_, trees, mut rest) = begin(head)?;
    for _ in 0..trees {
        let (Tree { nodes, leaves }, behind) = Tree::read(rest)?;
        for (at, [feature, left, right, ..]) in nodes.iter().enumerate() {
            let leads_on = |child: u8| match child {
                LEAVES.. => usize::from(child - LEAVES) < leaves.len(),
                // Children stand behind their parents, so that no walk goes round.
                _ => usize::from(child) > at && usize::from(child) < nodes.len(),
            };
            if usize::from(*feature) >= features || !leads_on(*left) || !leads_on(*right) {
                return None;
            }
        }
        rest = behind;
    }
    Some(rest)
}
