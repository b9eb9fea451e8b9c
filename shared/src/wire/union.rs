//! Unions as Bedrock's API has them: an object with exactly one key, which says what its value is.
//!
//! `serde` reads an enum from such an object by itself, but its words for an empty one, an unknown key or a second key help
//! nobody. Here they become sentences that list the known keys.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::value::{SeqAccessDeserializer, StringDeserializer};
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// Reads one union.
///
/// # Errors
/// When it has no key, an unknown one, or two.
pub fn one<'de, D: Deserializer<'de>, U: Deserialize<'de>>(deserializer: D) -> Result<U, D::Error> {
    Union::deserialize(deserializer).map(|union| union.0)
}

/// Reads one union, or none where it is absent or null.
///
/// # Errors
/// As [`one`].
pub fn maybe<'de, D: Deserializer<'de>, U: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<U>, D::Error> {
    let union = Option::<Union<U>>::deserialize(deserializer)?;
    Ok(union.map(|union| union.0))
}

/// Reads a list of unions.
///
/// # Errors
/// As [`one`].
pub fn list<'de, D: Deserializer<'de>, U: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<U>, D::Error> {
    let unions = Vec::<Union<U>>::deserialize(deserializer)?;
    Ok(unions.into_iter().map(|union| union.0).collect())
}

/// Reads a list of unions, or a plain string as one of them.
///
/// # Errors
/// When it is neither, or as [`one`].
pub fn text_or_list<'de, D, U>(deserializer: D) -> Result<Vec<U>, D::Error>
where
    D: Deserializer<'de>,
    U: Deserialize<'de> + From<String>,
{
    deserializer.deserialize_any(TextOrList(PhantomData))
}

struct TextOrList<U>(PhantomData<U>);

impl<'de, U: Deserialize<'de> + From<String>> Visitor<'de> for TextOrList<U> {
    type Value = Vec<U>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of blocks such as {\"text\": \"...\"}")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(vec![U::from(text.to_owned())])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        list(SeqAccessDeserializer::new(seq))
    }
}

struct Union<U>(U);

impl<'de, U: Deserialize<'de>> Deserialize<'de> for Union<U> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_map(AnObject(PhantomData))
            .map(Self)
    }
}

struct AnObject<U>(PhantomData<U>);

impl<'de, U: Deserialize<'de>> Visitor<'de> for AnObject<U> {
    type Value = U;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with one key, such as {\"text\": \"...\"}")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<U, A::Error> {
        U::deserialize(OneKey(map))
    }
}

/// An object that is to be read as an enum.
struct OneKey<A>(A);

impl<'de, A: MapAccess<'de>> Deserializer<'de> for OneKey<A> {
    type Error = A::Error;

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let wrong = |what: String| {
            A::Error::custom(format!(
                "{what}; a {name} has exactly one of {}",
                variants.join(", ")
            ))
        };
        let Some(key) = self.0.next_key::<String>()? else {
            return Err(wrong("this is empty".into()));
        };
        if !variants.contains(&key.as_str()) {
            return Err(wrong(format!("`{key}` is not known")));
        }
        let value = visitor.visit_enum(Variant {
            key: key.clone(),
            map: &mut self.0,
        })?;
        match self.0.next_key::<String>()? {
            Some(second) => Err(wrong(format!("this has both `{key}` and `{second}`"))),
            None => Ok(value),
        }
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, A::Error> {
        MapAccessDeserializer::new(self.0).deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// A variant whose key has been read.
struct Variant<'m, A> {
    key: String,
    map: &'m mut A,
}

impl<'de, 'm, A: MapAccess<'de>> EnumAccess<'de> for Variant<'m, A> {
    type Error = A::Error;
    type Variant = Value<'m, A>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Value<'m, A>), A::Error> {
        let variant = seed.deserialize(StringDeserializer::new(self.key))?;
        Ok((variant, Value(self.map)))
    }
}

/// The value behind the key.
struct Value<'m, A>(&'m mut A);

impl<'de, A: MapAccess<'de>> serde::de::VariantAccess<'de> for Value<'_, A> {
    type Error = A::Error;

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, A::Error> {
        self.0.next_value_seed(seed)
    }

    fn unit_variant(self) -> Result<(), A::Error> {
        self.0.next_value()
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, A::Error> {
        Err(A::Error::custom("no union has tuples"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, A::Error> {
        Err(A::Error::custom("no union has inline structures"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "camelCase")]
    enum Shape {
        Circle(u32),
        Square(String),
    }

    #[derive(Debug, Deserialize)]
    struct Drawing {
        #[serde(deserialize_with = "list")]
        shapes: Vec<Shape>,
    }

    #[test]
    fn a_union_has_one_known_key() {
        let read =
            |json: &str| serde_json::from_str::<Drawing>(&format!("{{\"shapes\": [{json}]}}"));
        assert_eq!(
            read(r#"{"circle": 1}, {"square": "x"}"#).unwrap().shapes,
            [Shape::Circle(1), Shape::Square("x".into())]
        );
        for (json, words) in [
            (
                "{}",
                "this is empty; a Shape has exactly one of circle, square",
            ),
            (
                r#"{"line": 1}"#,
                "`line` is not known; a Shape has exactly one of circle, square",
            ),
            (
                r#"{"circle": 1, "square": "x"}"#,
                "this has both `circle` and `square`",
            ),
            (
                r#"{"circle": "x"}"#,
                "invalid type: string \"x\", expected u32",
            ),
            ("\"circle\"", "expected an object with one key"),
        ] {
            let error = read(json).unwrap_err().to_string();
            assert!(error.contains(words), "{json}: {error}");
        }
    }
}
