//! From whatever name a person would type to the model it stands for.

use super::{Catalog, Model, Scope};

/// What a caller's name stands for.
#[derive(Clone, Debug)]
pub enum Named<'a> {
    /// A model of the catalog.
    Model(Reference<'a>),
    /// An ARN that only AWS can resolve: an application profile, provisioned throughput, a prompt, an imported model.
    Opaque,
    /// Nothing known; the nearest names, best first.
    Unknown(Vec<&'a str>),
}

/// A model, and the scope if the name spelt one out.
#[derive(Clone, Debug)]
pub struct Reference<'a> {
    /// The model.
    pub model: &'a Model,
    /// The scope of a profile id such as `us.…`; `None` for any other name.
    pub scope: Option<Scope>,
}

/// The longest id or ARN that Bedrock takes.
const LONGEST: usize = 2048;

/// A name as it is looked up and sent: without white space around it or the `bedrock/` that other tools put in front.
#[must_use]
pub fn clean(name: &str) -> &str {
    let name = name.trim();
    name.strip_prefix("bedrock/").unwrap_or(name)
}

/// The Region of an ARN, unless it names none.
#[must_use]
pub fn arn_region(name: &str) -> Option<&str> {
    let region = name
        .starts_with("arn:")
        .then(|| name.split(':').nth(3))
        .flatten();
    region.filter(|region| !region.is_empty())
}

impl Catalog {
    /// The model with exactly this id, short name or alias, in any letter case.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Model> {
        let name = name.to_lowercase();
        let position = self
            .names
            .binary_search_by(|(known, _)| known.as_ref().cmp(&name))
            .ok()?;
        self.model(self.names.get(position)?.1)
    }

    /// What a name stands for: an id, short name or alias, a profile id with any prefix, or an ARN.
    #[must_use]
    pub fn named(&self, name: &str) -> Named<'_> {
        let name = clean(name);
        if name.starts_with("arn:") {
            return self.by_arn(name);
        }
        match self.reference(name) {
            Some(reference) => Named::Model(reference),
            None => Named::Unknown(self.nearest(name)),
        }
    }

    /// Whether any model is sold or served in a scope.
    #[must_use]
    pub fn has_scope(&self, scope: &Scope) -> bool {
        let is_it = |model: &Model| {
            model.prices.iter().any(|prices| prices.scope == *scope)
                || model.profiles.iter().any(|profile| profile.scope == *scope)
        };
        self.models.iter().any(is_it)
    }

    fn reference(&self, name: &str) -> Option<Reference<'_>> {
        // People write a version with a point where ids have a dash: claude-opus-5.5.
        let find = |name: &str| self.find(name).or_else(|| self.find(&dashed(name)));
        if let Some(model) = find(name) {
            return Some(Reference { model, scope: None });
        }
        let (prefix, rest) = name.split_once('.')?;
        let model = find(rest)?;
        let scope = Scope::parse(&prefix.to_lowercase())?;
        self.has_scope(&scope).then_some(Reference {
            model,
            scope: Some(scope),
        })
    }

    fn by_arn(&self, arn: &str) -> Named<'_> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b":/._-".contains(&byte);
        let resource = arn
            .splitn(6, ':')
            .nth(5)
            .and_then(|resource| resource.split_once('/'));
        let Some((kind, id)) = resource.filter(|_| arn.len() <= LONGEST && arn.bytes().all(legal))
        else {
            return Named::Unknown(Vec::new());
        };
        let reference = match kind {
            "foundation-model" => self.find(id).map(|model| Reference { model, scope: None }),
            "inference-profile" => self.reference(id),
            _ => None,
        };
        reference.map_or(Named::Opaque, Named::Model)
    }

    /// Up to three known names that look like this one.
    fn nearest(&self, name: &str) -> Vec<&str> {
        const ALIKE: f64 = 0.85;
        // No known name is nearly as long, and likeness takes time.
        if name.len() > 200 {
            return Vec::new();
        }
        let name = name.to_lowercase();
        let likeness = |known: &str| strsim::jaro_winkler(&name, known);
        let mut names: Vec<_> = self
            .names
            .iter()
            .map(|(known, _)| (likeness(known), known.as_ref()))
            .collect();
        names.retain(|(likeness, _)| *likeness > ALIKE);
        names.sort_by(|a, b| b.0.total_cmp(&a.0));
        names.into_iter().take(3).map(|(_, known)| known).collect()
    }
}

/// Whether a name is the ARN of a prompt that is stored in Bedrock, with or without a version.
#[must_use]
pub fn is_stored_prompt(name: &str) -> bool {
    name.trim().starts_with("arn:") && name.contains(":prompt/")
}

/// A name with a dash for every point between two digits.
fn dashed(name: &str) -> String {
    let mut before = ' ';
    let mut rest = name.chars().peekable();
    let mut dashed = String::with_capacity(name.len());
    while let Some(letter) = rest.next() {
        let between = before.is_ascii_digit() && rest.peek().is_some_and(char::is_ascii_digit);
        dashed.push(if letter == '.' && between {
            '-'
        } else {
            letter
        });
        before = letter;
    }
    dashed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> (String, Option<String>) {
        match Catalog::built_in().named(name) {
            Named::Model(Reference { model, scope }) => {
                (model.id.to_string(), scope.map(|s| s.as_str().to_owned()))
            }
            Named::Opaque => ("opaque".into(), None),
            Named::Unknown(nearest) => (format!("unknown, like {nearest:?}"), None),
        }
    }

    #[test]
    fn any_name_a_person_would_type_is_known() {
        let opus = "anthropic.claude-opus-5-5";
        for (name, id, scope) in [
            (opus, opus, None),
            ("Claude-Opus-5-5", opus, None),
            ("opus", opus, None),
            ("claude-opus-5.5", opus, None),
            ("us.anthropic.claude-opus-5.5", opus, Some("us")),
            ("bedrock/opus", opus, None),
            (
                "claude-3-opus-20240229-v1:0",
                "anthropic.claude-3-opus-20240229-v1:0",
                None,
            ),
            ("us.anthropic.claude-opus-5-5", opus, Some("us")),
            ("global.anthropic.claude-opus-5-5", opus, Some("global")),
            (
                "us.anthropic.claude-3-opus-20240229-v1:0",
                "anthropic.claude-3-opus-20240229-v1:0",
                Some("us"),
            ),
            (
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-opus-5-5",
                opus,
                Some("us"),
            ),
            (
                "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0",
                "amazon.nova-lite-v1:0",
                None,
            ),
            (
                "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3d4",
                "opaque",
                None,
            ),
        ] {
            assert_eq!(
                named(name),
                (id.to_owned(), scope.map(str::to_owned)),
                "{name}"
            );
        }
    }

    #[test]
    fn every_id_name_alias_profile_and_arn_is_its_models() {
        let account = "arn:aws:bedrock:us-east-1:123456789012";
        for model in Catalog::built_in().models.iter() {
            let profiles = model
                .profiles
                .iter()
                .map(|profile| format!("{}.{}", profile.scope.as_str(), model.id));
            let profiles: Vec<_> = profiles.collect();
            let arns = profiles
                .iter()
                .map(|id| format!("{account}:inference-profile/{id}"));
            let foundation = format!("arn:aws:bedrock:us-east-1::foundation-model/{}", model.id);
            let own = [&model.id, &model.name]
                .into_iter()
                .chain(model.aliases.iter())
                .map(ToString::to_string);
            for name in own.chain(profiles.clone()).chain(arns).chain([foundation]) {
                assert_eq!(named(&name).0, model.id, "{name}");
            }
        }
    }

    #[test]
    fn names_that_people_type_mean_what_they_meant() {
        for (name, id) in [
            ("claude-sonnet", "anthropic.claude-sonnet-5-5"),
            ("haiku", "anthropic.claude-haiku-5-5"),
            ("gpt-5.4", "openai.gpt-5.4"),
            (
                "claude-3-5-sonnet-20241022",
                "anthropic.claude-3-5-sonnet-20241022-v2:0",
            ),
            (
                "claude-sonnet-4-20250514",
                "anthropic.claude-sonnet-4-20250514-v1:0",
            ),
            (
                "Claude-3.5-Sonnet",
                "anthropic.claude-3-5-sonnet-20240620-v1:0",
            ),
            ("titan-embed-v2", "amazon.titan-embed-text-v2:0"),
            ("llama3-70b", "meta.llama3-70b-instruct-v1:0"),
            ("llama-3.3-70b", "meta.llama3-3-70b-instruct-v1:0"),
            ("command-r-plus", "cohere.command-r-plus-v1:0"),
            ("mistral-7b", "mistral.mistral-7b-instruct-v0:2"),
            ("nova-lite", "amazon.nova-lite-v1:0"),
            ("gpt-oss-120b", "openai.gpt-oss-120b-1:0"),
            ("deepseek", "deepseek.v3.2"),
            ("cohere-embed", "cohere.embed-v4:0"),
            ("sdxl", "stability.stable-diffusion-xl-v1"),
        ] {
            assert_eq!(named(name).0, id, "{name}");
        }
    }

    #[test]
    fn what_is_not_known_gets_suggestions() {
        assert_eq!(
            named("claude-opus-55").0,
            r#"unknown, like ["claude-opus-5-5", "claude-opus-5", "claude-opus-4-5"]"#
        );
        assert_eq!(
            named("zz.anthropic.claude-opus-5-5").0.split(',').next(),
            Some("unknown")
        );
        for name in [
            "",
            ".",
            "arn:",
            "arn:aws:bedrock",
            "us.",
            "日本語",
            "arn:a:b:c:d:e/two words",
            &format!("arn:a:b:c:d:e/{}", "x".repeat(2048)),
            &"x".repeat(5000),
        ] {
            assert!(named(name).0.starts_with("unknown"), "{name}");
        }
    }
}
