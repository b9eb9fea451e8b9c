//! Cache points: taken away where they are refused, and placed where they pay, if the caller asks for that.

use super::{Fitting, Repair};
use crate::wire::{CachePoint, CacheTtl, ContentBlock, Role, SystemContentBlock, Tool, ToolConfig};

/// The shortest prompt that is cached where the catalog does not know: that of most models (AWS's prompt caching page).
const LEAST_TOKENS: u32 = 1024;

impl Fitting<'_, '_> {
    /// Where a model is not known to take cache points, one is a mistake; without it the answer is the same.
    pub(super) fn adjust_cache_points(&mut self) {
        let known = self.model().is_some();
        if self.has_learned(&Repair::CachePoints)
            || (known && !self.is(|can| can.cache_points, true))
        {
            if self.drop_cache_points(true) {
                self.say(format!(
                    "cache points dropped: {} is not known to take them",
                    self.name()
                ));
            }
        } else if known
            && !self.is(|can| can.tool_cache_points, true)
            && self.drop_cache_points(false)
        {
            self.say(format!(
                "the cache point among the tools dropped: {} is not known to take it",
                self.name()
            ));
        }
        if known && !self.has_price_for(CacheTtl::OneHour) && self.shorten_cache_points() {
            self.say(format!(
                "cache points last 5 minutes: {} is not known to keep them for an hour",
                self.name()
            ));
        }
    }

    /// Takes those among the tools away, or all.
    fn drop_cache_points(&mut self, all: bool) -> bool {
        let in_message = |block: &ContentBlock| matches!(block, ContentBlock::CachePoint(_));
        let in_system =
            |block: &SystemContentBlock| matches!(block, SystemContentBlock::CachePoint(_));
        let in_tools = |tool: &Tool| matches!(tool, Tool::CachePoint(_));
        let tools = self
            .body
            .tool_config
            .as_ref()
            .is_some_and(|config| config.tools.iter().any(in_tools));
        let messages = all
            && self
                .body
                .messages
                .iter()
                .any(|message| message.content.iter().any(in_message));
        let system = all && self.body.system.iter().any(in_system);
        if tools && let Some(config) = &mut self.body.tool_config {
            config.to_mut().tools.retain(|tool| !in_tools(tool));
        }
        if messages {
            for message in self.body.messages.to_mut() {
                message.content.retain(|block| !in_message(block));
            }
        }
        if system {
            self.body.system.to_mut().retain(|block| !in_system(block));
        }
        tools || messages || system
    }

    /// Makes cache points of an hour last five minutes.
    fn shorten_cache_points(&mut self) -> bool {
        let is_long = |point: &CachePoint| point.ttl == Some(CacheTtl::OneHour);
        if !self.cache_points().any(is_long) {
            return false;
        }
        let tools = self
            .body
            .tool_config
            .iter_mut()
            .flat_map(|config| &mut config.to_mut().tools);
        let tools = tools.filter_map(|tool| {
            if let Tool::CachePoint(point) = tool {
                Some(point)
            } else {
                None
            }
        });
        let system = self.body.system.to_mut().iter_mut();
        let system = system.filter_map(|block| {
            if let SystemContentBlock::CachePoint(point) = block {
                Some(point)
            } else {
                None
            }
        });
        let blocks = self
            .body
            .messages
            .to_mut()
            .iter_mut()
            .flat_map(|message| &mut message.content);
        let blocks = blocks.filter_map(|block| {
            if let ContentBlock::CachePoint(point) = block {
                Some(point)
            } else {
                None
            }
        });
        tools
            .chain(system)
            .chain(blocks)
            .for_each(|point| point.ttl = None);
        true
    }

    fn cache_points(&self) -> impl Iterator<Item = &CachePoint> {
        let tools = self
            .body
            .tool_config
            .iter()
            .flat_map(|config| &config.tools);
        let tools = tools.filter_map(|tool| {
            if let Tool::CachePoint(point) = tool {
                Some(point)
            } else {
                None
            }
        });
        let system = self.body.system.iter();
        let system = system.filter_map(|block| {
            if let SystemContentBlock::CachePoint(point) = block {
                Some(point)
            } else {
                None
            }
        });
        let blocks = self
            .body
            .messages
            .iter()
            .flat_map(|message| &message.content);
        let blocks = blocks.filter_map(|block| {
            if let ContentBlock::CachePoint(point) = block {
                Some(point)
            } else {
                None
            }
        });
        tools.chain(system).chain(blocks)
    }

    fn has_price_for(&self, ttl: CacheTtl) -> bool {
        let rates = self
            .candidate
            .prices
            .and_then(|prices| prices.standard.as_ref());
        rates.is_some_and(|rates| match ttl {
            CacheTtl::FiveMinutes => rates.cache_write_5m.is_some(),
            CacheTtl::OneHour => rates.cache_write_1h.is_some(),
        })
    }

    /// Places cache points after the tools, the system prompt and the last turn that the next request will repeat, where the
    /// prompt up to there is long enough to be cached. The caller's own points stay, and none are added to them.
    pub(super) fn place_cache_points(&mut self, wanted: Option<CacheTtl>) {
        let Some(wanted) = wanted else { return };
        let takes =
            self.is(|can| can.cache_points, true) && !self.has_learned(&Repair::CachePoints);
        if takes && !self.has_price_for(CacheTtl::FiveMinutes) {
            return self.say(format!(
                "nothing is cached: what writing to the cache costs is not known for {}",
                self.name()
            ));
        }
        if !takes {
            return self.say(format!(
                "nothing is cached: {} is not known to take cache points",
                self.name()
            ));
        }
        if self.cache_points().next().is_some() {
            return;
        }
        let ttl = Some(wanted)
            .filter(|wanted| self.has_price_for(*wanted))
            .unwrap_or(CacheTtl::FiveMinutes);
        if ttl != wanted {
            self.say(format!(
                "cache points last 5 minutes: {} is not known to keep them for an hour",
                self.name()
            ));
        }
        let least = self
            .model()
            .and_then(|model| model.capabilities.prompt_cache_min_tokens)
            .unwrap_or(LEAST_TOKENS);
        let placed = self.place(&CachePoint::lasting(ttl), least);
        if placed == 0 {
            self.say(format!(
                "nothing is cached: no part that repeats has the {least} tokens that {} demands",
                self.name()
            ));
        }
    }

    /// In the order in which Bedrock reads a prompt: tools, system, messages.
    fn place(&mut self, point: &CachePoint, least: u32) -> usize {
        let mut placed = 0;
        let tools = self
            .body
            .tool_config
            .as_deref()
            .map_or(0, ToolConfig::estimated_tokens);
        let takes = self.is(|can| can.tool_cache_points, true);
        if let Some(config) = self
            .body
            .tool_config
            .as_mut()
            .filter(|_| takes && tools >= least)
        {
            config.to_mut().tools.push(Tool::CachePoint(point.clone()));
            placed += 1;
        }
        let system = self
            .body
            .system
            .iter()
            .map(SystemContentBlock::estimated_tokens)
            .fold(tools, u32::saturating_add);
        if system >= least && !self.body.system.is_empty() {
            self.body
                .system
                .to_mut()
                .push(SystemContentBlock::CachePoint(point.clone()));
            placed += 1;
        }
        let Some(turn) = self.last_stable_turn(system, least) else {
            return placed;
        };
        if let Some(message) = self.body.messages.to_mut().get_mut(turn) {
            message
                .content
                .push(ContentBlock::CachePoint(point.clone()));
            placed += 1;
        }
        placed
    }

    /// The last user turn but the current one, which the next request will repeat, if the prompt up to there is long enough.
    fn last_stable_turn(&self, before: u32, least: u32) -> Option<usize> {
        let earlier = self.body.messages.len().saturating_sub(1);
        let turn = self
            .body
            .messages
            .iter()
            .take(earlier)
            .rposition(|message| message.role == Role::User)?;
        let blocks = self
            .body
            .messages
            .iter()
            .take(turn + 1)
            .flat_map(|message| &message.content);
        let tokens = blocks
            .map(ContentBlock::estimated_tokens)
            .fold(before, u32::saturating_add);
        (tokens >= least).then_some(turn)
    }
}
