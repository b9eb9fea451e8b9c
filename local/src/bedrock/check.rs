//! What Bedrock refuses of a Converse request whatever the model, in words that it has been observed to use.

use serde_json::Value;

use super::{Refusal, blocks, list};

/// The fields that a Converse request may have.
const FIELDS: [&str; 13] = [
    "messages",
    "system",
    "inferenceConfig",
    "toolConfig",
    "guardrailConfig",
    "additionalModelRequestFields",
    "additionalModelResponseFieldPaths",
    "promptVariables",
    "requestMetadata",
    "performanceConfig",
    "serviceTier",
    "outputConfig",
    "projectIdentifier",
];

/// The blocks that a message may hold.
const BLOCKS: [&str; 14] = [
    "text",
    "image",
    "document",
    "video",
    "audio",
    "toolUse",
    "toolResult",
    "guardContent",
    "cachePoint",
    "reasoningContent",
    "citationsContent",
    "searchResult",
    "toolAddition",
    "toolRemoval",
];

type Checked = Result<(), Refusal>;

/// Checks a request.
///
/// # Errors
/// The refusal that Bedrock would send.
pub(super) fn request(body: &Value) -> Checked {
    fields(body)?;
    roles(body)?;
    for (m, message) in list(body, "messages").iter().enumerate() {
        content(m, message)?;
    }
    let names: Vec<_> = blocks(body)
        .filter_map(|block| block.pointer("/document/name"))
        .collect();
    if names
        .iter()
        .enumerate()
        .any(|(n, name)| names.iter().skip(n + 1).any(|other| other == name))
    {
        return Err(Refusal::invalid(
            "Messages can't contain duplicate document names.",
        ));
    }
    schemas(body)?;
    calls(body)?;
    let points = blocks(body)
        .chain(list(body, "system"))
        .filter(|block| block.get("cachePoint").is_some())
        .count();
    if points > 4 {
        return Err(Refusal::invalid(
            "You have exceeded the maximum number of cache points, which is 4.",
        ));
    }
    Ok(())
}

/// Checks a request for a stored prompt, which brings its own settings.
///
/// # Errors
/// The refusal that Bedrock would send.
pub(super) fn stored_prompt(body: &Value) -> Checked {
    fields(body)?;
    let own = [
        "inferenceConfig",
        "system",
        "toolConfig",
        "additionalModelRequestFields",
    ];
    match own.into_iter().find(|field| body.get(field).is_some()) {
        Some(field) => Err(Refusal::invalid(format!(
            "{field} cannot be specified when modelId is a prompt resource."
        ))),
        None => Ok(()),
    }
}

fn fields(body: &Value) -> Checked {
    let fields = body
        .as_object()
        .ok_or_else(|| Refusal::invalid("The request must be a JSON object."))?;
    match fields
        .keys()
        .find(|field| !FIELDS.contains(&field.as_str()))
    {
        Some(field) => Err(malformed("#", field)),
        None => Ok(()),
    }
}

pub(super) fn malformed(at: &str, key: &str) -> Refusal {
    Refusal::invalid(format!(
        "Malformed input request: {at}: extraneous key [{key}] is not permitted, please reformat your input and try again."
    ))
}

/// What a tool takes is an object.
fn schemas(body: &Value) -> Checked {
    let tools = body.get("toolConfig").map(|config| list(config, "tools"));
    for (index, tool) in tools.unwrap_or_default().iter().enumerate() {
        let schema = tool.pointer("/toolSpec/inputSchema/json");
        if schema.is_some_and(|schema| schema.get("type").is_none_or(|kind| kind != "object")) {
            return Err(Refusal::invalid(format!(
                "The value at toolConfig.tools.{index}.toolSpec.inputSchema.json.type must be one of the following: object."
            )));
        }
    }
    Ok(())
}

fn roles(body: &Value) -> Checked {
    let mut expected = "user";
    let roles = list(body, "messages")
        .iter()
        .map(|message| message["role"].as_str().unwrap_or_default());
    for (m, role) in roles.filter(|role| *role != "system").enumerate() {
        if m == 0 && role != "user" {
            return Err(Refusal::invalid(
                "A conversation must start with a user message. Try again with a conversation that starts with a user message.",
            ));
        }
        if role != expected {
            return Err(Refusal::invalid(
                "A conversation must alternate between user and assistant roles. Make sure the conversation alternates \
                 between user and assistant roles and try again.",
            ));
        }
        expected = if role == "user" { "assistant" } else { "user" };
    }
    if list(body, "messages").is_empty() {
        Err(Refusal::invalid("messages must not be empty"))
    } else {
        Ok(())
    }
}

fn content(m: usize, message: &Value) -> Checked {
    let content = list(message, "content");
    if content.is_empty() {
        return Err(Refusal::invalid(format!(
            "The content field in the Message object at messages.{m} is empty. Add a ContentBlock object to the content field and try again."
        )));
    }
    for (c, block) in content.iter().enumerate() {
        self::block(block, &format!("messages.{m}.content.{c}"))?;
    }
    let count = |kind: &str| {
        content
            .iter()
            .filter(|block| block.get(kind).is_some())
            .count()
    };
    if count("image") > 20 {
        Err(Refusal::invalid(format!(
            "too many images: {} > 20",
            count("image")
        )))
    } else if count("document") > 5 {
        Err(Refusal::invalid(
            "The model supports up to 5 documents in a message.",
        ))
    } else if count("document") > 0 && count("text") == 0 {
        Err(Refusal::invalid(
            "A text block must be included when using documents.",
        ))
    } else {
        Ok(())
    }
}

fn block(block: &Value, at: &str) -> Checked {
    let keys: Vec<_> = block
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key.as_str())
        .collect();
    if keys.len() != 1 || !keys.iter().all(|key| BLOCKS.contains(key)) {
        let known = BLOCKS.join(", ");
        return Err(Refusal::invalid(format!(
            "The ContentBlock object at {at} must set exactly one of the following keys: {known}."
        )));
    }
    if block["text"]
        .as_str()
        .is_some_and(|text| text.trim().is_empty())
    {
        return Err(Refusal::invalid(format!(
            "The text field in the ContentBlock object at {at} is blank. Add text to the text field, and try again."
        )));
    }
    block
        .pointer("/document/name")
        .and_then(Value::as_str)
        .map_or(Ok(()), document_name)
}

fn document_name(name: &str) -> Checked {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c.is_whitespace() || "-()[]".contains(c);
    if name.chars().all(allowed) && !name.contains("  ") && (1..=200).contains(&name.len()) {
        return Ok(());
    }
    Err(Refusal::invalid(
        "The document file name can only contain alphanumeric characters, whitespace characters, hyphens, parentheses, and square \
         brackets. The name can't contain more than one consecutive whitespace character.",
    ))
}

/// Each call has its result in the next turn, and each result its call in the turn before.
fn calls(body: &Value) -> Checked {
    let mut open: Vec<&str> = Vec::new();
    for (m, message) in list(body, "messages").iter().enumerate() {
        let ids = |kind: &'static str| {
            list(message, "content")
                .iter()
                .filter_map(move |block| block.get(kind)?.get("toolUseId")?.as_str())
        };
        if ids("toolResult").count() > open.len() {
            return Err(Refusal::invalid(format!(
                "The number of toolResult blocks at messages.{m}.content exceeds the number of toolUse blocks of previous turn."
            )));
        }
        open.retain(|id| !ids("toolResult").any(|result| result == *id));
        if !open.is_empty() {
            return Err(Refusal::invalid(format!(
                "Expected toolResult blocks at messages.{m}.content for the following Ids: {}",
                open.join(", ")
            )));
        }
        open.extend(ids("toolUse"));
    }
    let used = blocks(body)
        .any(|block| block.get("toolUse").is_some() || block.get("toolResult").is_some());
    if used && body.get("toolConfig").is_none() {
        return Err(Refusal::invalid(
            "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
        ));
    }
    Ok(())
}
