//! Images, documents and sounds, as OpenAI's clients send them: data URLs, which are never fetched from anywhere.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use shared::error::{Error, cut};
use shared::wire::{
    AudioBlock, AudioFormat, Base64, BytesSource, DocumentBlock, DocumentFormat, DocumentSource,
    ImageBlock, ImageFormat,
};

use super::request::{File, InputAudio};

/// Characters of base64 that say what an image is.
const HEAD: usize = 64;

/// An image by its data URL. What it is its bytes say, because clients often name another kind.
pub(super) fn image(url: &str, path: &str) -> Result<ImageBlock, Error> {
    let (media_type, base64) = data_url(url, &format!("{path}.image_url.url"), "image/png")?;
    let head = base64
        .get(..HEAD.min(base64.len() / 4 * 4))
        .unwrap_or_default();
    let sniffed = STANDARD
        .decode(head)
        .ok()
        .and_then(|bytes| ImageFormat::of(&bytes));
    let named = || match media_type {
        "image/png" => Some(ImageFormat::Png),
        "image/jpeg" | "image/jpg" => Some(ImageFormat::Jpeg),
        "image/gif" => Some(ImageFormat::Gif),
        "image/webp" => Some(ImageFormat::Webp),
        _ => None,
    };
    let format = sniffed.or_else(named).ok_or_else(|| {
        let words = format!(
            "images are png, jpeg, gif or webp, not {:?}",
            cut(media_type, 40)
        );
        Error::invalid(format!("{path}.image_url.url"), words)
    })?;
    Ok(ImageBlock {
        format,
        source: BytesSource::Bytes(Base64::new(whole(base64))),
    })
}

/// A document by its data URL, or by its bytes and a name that says what it is.
pub(super) fn document(file: File, path: &str, names: &mut Names) -> Result<DocumentBlock, Error> {
    let field = format!("{path}.file.file_data");
    if file.file_id.is_some() {
        let words = "no files are kept here; send the bytes as file_data";
        return Err(Error::invalid(format!("{path}.file.file_id"), words));
    }
    let data = file
        .file_data
        .ok_or_else(|| Error::invalid(&field, "a file needs file_data"))?;
    let filename = file.filename.unwrap_or_default();
    let (media_type, base64) = match data.starts_with("data:") || data.contains("://") {
        true => data_url(&data, &field, "application/pdf")?,
        false => ("", data.as_str()),
    };
    let extension = filename.rsplit_once('.').map(|(_, extension)| extension);
    let format = by_media_type(media_type).or_else(|| by_extension(extension?));
    let format = format.ok_or_else(|| {
        let words = "what the file is shows neither in its data URL nor in its filename: pdf, csv, doc, docx, xls, xlsx, html, txt or md";
        Error::invalid(&field, words)
    })?;
    Ok(DocumentBlock {
        format: Some(format),
        name: name(&filename, names),
        source: DocumentSource::Bytes(Base64::new(whole(base64))),
        context: None,
        citations: None,
    })
}

/// A sound.
pub(super) fn audio(audio: InputAudio, path: &str) -> Result<AudioBlock, Error> {
    let format = match audio.format.as_str() {
        "wav" => AudioFormat::Wav,
        "mp3" => AudioFormat::Mp3,
        _ => {
            let field = format!("{path}.input_audio.format");
            return Err(Error::invalid(field, "sounds are wav or mp3"));
        }
    };
    Ok(AudioBlock {
        format,
        source: BytesSource::Bytes(Base64::new(whole(&audio.data))),
    })
}

/// Base64 without the line breaks that some tools put into it.
fn whole(base64: &str) -> String {
    base64.split_ascii_whitespace().collect()
}

/// The media type and the base64 of a data URL.
fn data_url<'a>(url: &'a str, path: &str, example: &str) -> Result<(&'a str, &'a str), Error> {
    let wanted = format!("data:{example};base64,...");
    let data = url.strip_prefix("data:").ok_or_else(|| {
        let words = format!(
            "bytes come in a data URL such as {wanted}; nothing is fetched from other addresses"
        );
        Error::invalid(path, words)
    })?;
    let base64 = data
        .split_once(',')
        .and_then(|(head, data)| Some((head.strip_suffix(";base64")?, data)));
    let (head, base64) =
        base64.ok_or_else(|| Error::invalid(path, format!("a data URL is {wanted}")))?;
    let media_type = head.split(';').next().unwrap_or_default();
    Ok((media_type, base64))
}

fn by_media_type(media_type: &str) -> Option<DocumentFormat> {
    match media_type {
        "application/pdf" => Some(DocumentFormat::Pdf),
        "text/csv" => Some(DocumentFormat::Csv),
        "application/msword" => Some(DocumentFormat::Doc),
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => {
            Some(DocumentFormat::Docx)
        }
        "application/vnd.ms-excel" => Some(DocumentFormat::Xls),
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => {
            Some(DocumentFormat::Xlsx)
        }
        "text/html" => Some(DocumentFormat::Html),
        "text/plain" => Some(DocumentFormat::Txt),
        "text/markdown" => Some(DocumentFormat::Md),
        _ => None,
    }
}

fn by_extension(extension: &str) -> Option<DocumentFormat> {
    match extension.to_ascii_lowercase().as_str() {
        "pdf" => Some(DocumentFormat::Pdf),
        "csv" => Some(DocumentFormat::Csv),
        "doc" => Some(DocumentFormat::Doc),
        "docx" => Some(DocumentFormat::Docx),
        "xls" => Some(DocumentFormat::Xls),
        "xlsx" => Some(DocumentFormat::Xlsx),
        "html" | "htm" => Some(DocumentFormat::Html),
        "txt" => Some(DocumentFormat::Txt),
        "md" => Some(DocumentFormat::Md),
        _ => None,
    }
}

/// Names of documents, with how many of a message's have each.
pub(super) type Names = HashMap<String, usize>;

/// A name that Bedrock takes, and that no other document has.
fn name(filename: &str, names: &mut Names) -> String {
    let stem = filename.rsplit_once('.').map_or(filename, |(stem, _)| stem);
    // Parentheses hold our own numbers.
    let clean: String = stem
        .chars()
        .map(|c| match c.is_ascii_alphanumeric() || "-[]".contains(c) {
            true => c,
            false => ' ',
        })
        .collect();
    let words: Vec<_> = clean.split_whitespace().collect();
    let base = match words.join(" ") {
        none if none.is_empty() => "document".to_owned(),
        name => name.chars().take(150).collect(),
    };
    let base = base.trim_end().to_owned();
    let count = names.entry(base.clone()).or_default();
    *count += 1;
    match *count {
        1 => base,
        count => format!("{base} ({count})"),
    }
}
