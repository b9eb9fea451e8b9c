//! Boosted trees, read as they lie in the program: nothing is loaded, and sums are of whole numbers in a fixed order, so that the same
//! prompt gives the same answer on every processor.
//!
//! `train/train.py` writes the file: for each head a base value and a number of trees; for each tree a number of nodes, the nodes, and
//! one leaf more than nodes. All numbers are little-endian; values are millionths.

use super::features::Values;

/// What is foretold.
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

/// Bytes of a node: feature, left, right, threshold, and the value that a prompt has which comes so far.
const NODE: usize = 3 + 4 + 4;
const LEAF: usize = 4;
/// A child from here on is a leaf.
const LEAVES: u8 = 128;

/// A file of heads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Model<'a>(pub(crate) &'a [u8]);

impl<'a> Model<'a> {
    /// What a head foretells, in millionths; `moved` is told by how much each feature that was looked at moved it.
    pub(crate) fn foretell(
        self,
        head: Head,
        values: &Values,
        mut moved: impl FnMut(usize, i32),
    ) -> i32 {
        let mut rest = self.0;
        for _ in 0..head as usize {
            let Some(behind) = skip(rest) else { return 0 };
            rest = behind;
        }
        let Some((base, trees, mut rest)) = begin(rest) else {
            return 0;
        };
        let mut sum = base;
        for _ in 0..trees {
            let Some((nodes, behind)) = rest.split_first() else {
                break;
            };
            let nodes = usize::from(*nodes);
            let Some((tree, behind)) = behind.split_at_checked(nodes * NODE + (nodes + 1) * LEAF)
            else {
                break;
            };
            rest = behind;
            sum += walk(tree, nodes, values, &mut moved).unwrap_or(0);
        }
        sum
    }

    /// Whether it is a file of four heads, to its end, in which every step leads on.
    #[cfg(test)]
    pub(crate) fn is_sound(self, features: usize) -> bool {
        let mut rest = self.0;
        for _ in 0..4 {
            let Some(behind) = sound_head(rest, features) else {
                return false;
            };
            rest = behind;
        }
        rest.is_empty()
    }
}

fn number(bytes: &[u8], at: usize) -> Option<i32> {
    let four = bytes.get(at..at + 4)?;
    Some(i32::from_le_bytes(four.try_into().ok()?))
}

/// Base value and number of trees of a head, and what lies behind.
fn begin(head: &[u8]) -> Option<(i32, u16, &[u8])> {
    let trees = u16::from_le_bytes(head.get(4..6)?.try_into().ok()?);
    Some((number(head, 0)?, trees, head.get(6..)?))
}

fn skip(head: &[u8]) -> Option<&[u8]> {
    let (_, trees, mut rest) = begin(head)?;
    for _ in 0..trees {
        let (nodes, behind) = rest.split_first()?;
        let nodes = usize::from(*nodes);
        rest = behind.get(nodes * NODE + (nodes + 1) * LEAF..)?;
    }
    Some(rest)
}

/// The leaf of a prompt, and on the way there what each step changed.
fn walk(
    tree: &[u8],
    nodes: usize,
    values: &Values,
    moved: &mut impl FnMut(usize, i32),
) -> Option<i32> {
    let leaf = |child: u8| number(tree, nodes * NODE + usize::from(child - LEAVES) * LEAF);
    let mut child = 0;
    let mut before = None;
    if nodes == 0 {
        return leaf(LEAVES);
    }
    loop {
        let node = tree.get(usize::from(child) * NODE..)?;
        let (feature, left, right) = (usize::from(*node.first()?), *node.get(1)?, *node.get(2)?);
        let value = number(node, 7)?;
        if let Some((feature, before)) = before {
            moved(feature, value - before);
        }
        child = if *values.get(feature)? <= number(node, 3)? {
            left
        } else {
            right
        };
        if child >= LEAVES {
            let leaf = leaf(child)?;
            moved(feature, leaf - value);
            return Some(leaf);
        }
        before = Some((feature, value));
    }
}

#[cfg(test)]
fn sound_head(head: &[u8], features: usize) -> Option<&[u8]> {
    let (_, trees, mut rest) = begin(head)?;
    for _ in 0..trees {
        let (nodes, behind) = rest.split_first()?;
        let nodes = usize::from(*nodes);
        let (tree, behind) = behind.split_at_checked(nodes * NODE + (nodes + 1) * LEAF)?;
        for at in 0..nodes {
            let node = tree.get(at * NODE..)?;
            let leads_on = |child: u8| match child {
                LEAVES.. => usize::from(child - LEAVES) <= nodes,
                // Children stand behind their parents, so that no walk goes round.
                _ => usize::from(child) > at && usize::from(child) < nodes,
            };
            let (feature, left, right) = (*node.first()?, *node.get(1)?, *node.get(2)?);
            if usize::from(feature) >= features || !leads_on(left) || !leads_on(right) {
                return None;
            }
        }
        rest = behind;
    }
    Some(rest)
}
