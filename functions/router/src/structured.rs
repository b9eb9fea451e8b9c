//! Answers that are to be JSON by a schema: read, checked, and asked for once more where they do not match.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};
use shared::fit::Form;
use shared::schema;
use shared::wire::Reply;
use utoipa::ToSchema;

use crate::App;
use crate::ask::{Asked, Turn};
use crate::request::asked_again;

/// How JSON by the caller's schema was come by, and whether the answer matches.
#[derive(Debug, Serialize, ToSchema)]
pub struct StructuredOutput {
    /// The way.
    via: Form,
    /// Whether `text` is JSON that matches the schema; null where there is no such text, because the model calls a tool of the
    /// caller's, or a guardrail stepped in.
    valid: Option<bool>,
    /// Whether the model was asked twice.
    retried: bool,
}

impl App {
    /// Checks an answer against the caller's schema, and asks once more where that may help and is within the limits; never
    /// where the first answer was told already.
    pub(crate) async fn hold_to_schema(
        &self,
        turn: Turn<'_>,
        asked: &mut Asked<'_>,
    ) -> Option<StructuredOutput> {
        let via = asked.form?;
        let conversation = &turn.request.conversation;
        let schema: Value = serde_json::from_str(&conversation.options.schema()?.schema).ok()?;
        let is_answer = asked.reply.stop_reason != "guardrail_intervened"
            && (via == Form::ForcedTool || !asked.reply.has_calls());
        if !is_answer {
            return Some(StructuredOutput {
                via,
                valid: None,
                retried: false,
            });
        }
        // What was told piece by piece was told as it came.
        if !turn.sink.is_open() || via == Form::ForcedTool {
            unwrap(&mut asked.reply, via);
        }
        let mut mismatch = mismatch(&schema, &asked.reply);
        let may_retry =
            via != Form::OutputConfig && !turn.sink.is_open() && self.may_retry(turn, asked);
        let mut retried = false;
        if let Some(why) = mismatch.as_ref().filter(|_| may_retry) {
            let again = asked_again(conversation, &asked.text(), why);
            retried = true;
            // A second answer that is not whole is no better than the first.
            let second = self.ask_again(turn, &again, asked).await.ok().flatten();
            if let Some(mut second) = second.filter(is_whole) {
                unwrap(&mut second, via);
                mismatch = self::mismatch(&schema, &second);
                asked.reply = second;
            }
        }
        if let Some(why) = &mismatch {
            asked
                .changes
                .push(format!("the answer does not match the schema: {why}"));
        }
        Some(StructuredOutput {
            via,
            valid: Some(mismatch.is_none()),
            retried,
        })
    }

    /// A second call makes sense when the first was not cut off, and when time and money are left for it.
    fn may_retry(&self, turn: Turn<'_>, asked: &Asked<'_>) -> bool {
        let in_time = turn.call.time_left_within(turn.request.timeout) > Duration::from_secs(1);
        is_whole(&asked.reply)
            && in_time
            && self.can_afford(turn.request, asked, asked.candidate.max_tokens)
    }
}

/// Whether an answer ended by itself.
fn is_whole(reply: &Reply) -> bool {
    matches!(
        reply.stop_reason.as_str(),
        "end_turn" | "tool_use" | "stop_sequence"
    )
}

/// Why the answer does not match, if it does not.
fn mismatch(schema: &Value, reply: &Reply) -> Option<String> {
    match serde_json::from_str(&reply.text()) {
        Ok(value) => schema::check(schema, &value).err(),
        Err(error) => Some(format!("it is not JSON ({error})")),
    }
}

/// Puts the JSON of a forced tool's input, or what stands in a code fence, where a text answer has its text.
pub(crate) fn unwrap(reply: &mut Reply, form: Form) {
    let message = match form {
        Form::OutputConfig => None,
        Form::ForcedTool => input_as_text(reply.output.message.get()),
        Form::Instruction => without_fence(reply.output.message.get(), &reply.text()),
    };
    if let Some(message) = message {
        reply.output.message = message;
        if reply.stop_reason == "tool_use" {
            reply.stop_reason = "end_turn".into();
        }
    }
}

#[derive(Deserialize)]
struct Content {
    #[serde(default)]
    content: Vec<Map<String, Value>>,
}

/// A message whose tool call has become text; what was said beside it goes, what was thought stays.
fn input_as_text(message: &str) -> Option<Box<RawValue>> {
    #[derive(Deserialize)]
    struct Calls {
        content: Vec<Block>,
    }
    #[derive(Deserialize)]
    struct Block {
        #[serde(rename = "toolUse")]
        call: Option<ToolCall>,
    }
    #[derive(Deserialize)]
    struct ToolCall {
        input: Box<RawValue>,
    }
    // The input is taken as it came, so that its fields keep their order.
    let calls: Calls = serde_json::from_str(message).ok()?;
    let input = calls
        .content
        .into_iter()
        .find_map(|block| block.call)?
        .input;
    let mut content = serde_json::from_str::<Content>(message).ok()?.content;
    content.retain(|block| block.contains_key("reasoningContent"));
    // What was cut off is no JSON, and stands in a string.
    let cut = serde_json::from_str::<String>(input.get());
    rewritten(content, cut.as_deref().unwrap_or(input.get()))
}

/// A message whose text is what stands in a code fence, where it stands in one.
fn without_fence(message: &str, text: &str) -> Option<Box<RawValue>> {
    let inner = text.trim().strip_prefix("```")?.strip_suffix("```")?;
    let inner = inner.strip_prefix("json").unwrap_or(inner).trim();
    let mut content = serde_json::from_str::<Content>(message).ok()?.content;
    content.retain(|block| !block.contains_key("text"));
    rewritten(content, inner)
}

fn rewritten(mut content: Vec<Map<String, Value>>, text: &str) -> Option<Box<RawValue>> {
    content.push(Map::from_iter([("text".to_owned(), text.into())]));
    to_raw_value(&json!({ "role": "assistant", "content": content })).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_of_a_tool_call_becomes_the_text() {
        let message = r#"{"role":"assistant","content":[{"text":"Here:"},{"reasoningContent":{"reasoningText":{"text":"hm"}}},
            {"toolUse":{"toolUseId":"1","name":"answer","input":{"b":1.50,"a":2}}}]}"#;
        let text = input_as_text(message).unwrap();
        let expected = r#"{"content":[{"reasoningContent":{"reasoningText":{"text":"hm"}}},{"text":"{\"b\":1.50,\"a\":2}"}],"role":"assistant"}"#;
        assert_eq!(text.get(), expected);
        assert!(input_as_text(r#"{"role":"assistant","content":[{"text":"no"}]}"#).is_none());
    }

    #[test]
    fn a_code_fence_is_taken_off() {
        let fenced = "```json\n{\"a\": 1}\n```";
        let message = json!({ "role": "assistant", "content": [{ "text": fenced }] }).to_string();
        assert!(
            without_fence(&message, fenced)
                .unwrap()
                .get()
                .contains(r#""text":"{\"a\": 1}""#)
        );
        assert!(without_fence(&message, "{\"a\": 1}").is_none());
    }
}
