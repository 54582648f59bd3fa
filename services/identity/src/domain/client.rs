//! What a client says of itself, cut down to what a member recognises his devices by: browser, system, kind of device.
//! The User-Agent itself is not kept.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Invalid;

/// Longest User-Agent that is looked at, in bytes.
const LONGEST: usize = 1_024;

/// A client, as it is sealed with a session or a log-in record. Without `Debug`.
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq, Default)]
pub struct Client {
    /// The address it came from; empty when it is not known.
    pub ip: String,
    /// "Firefox"; empty when it is not known.
    pub browser: String,
    /// "Windows"; empty when it is not known.
    pub os: String,
    /// "desktop", "mobile", "tablet", "bot" or "unknown".
    pub device_type: String,
}

impl Client {
    /// From address and User-Agent as the gateway saw them.
    ///
    /// # Errors
    /// When the address is none.
    pub fn new(ip: &str, user_agent: &str) -> Result<Self, Invalid> {
        let ip = match ip {
            "" => String::new(),
            ip => ip
                .parse::<IpAddr>()
                .map_err(|_| Invalid::new("ip", "is not an IP address"))?
                .to_canonical()
                .to_string(),
        };
        let mut end = user_agent.len().min(LONGEST);
        while !user_agent.is_char_boundary(end) {
            end -= 1;
        }
        let agent = &user_agent[..end];
        Ok(Self {
            ip,
            browser: browser(agent).to_owned(),
            os: os(agent).to_owned(),
            device_type: device_type(agent).to_owned(),
        })
    }

    /// For sealing.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// From what was sealed; an unreadable one is an unknown one.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes).unwrap_or_default()
    }
}

/// The first mark that is found decides: others name themselves too, to be let in.
fn first(agent: &str, marks: &[(&str, &'static str)]) -> &'static str {
    marks.iter().find(|(mark, _)| agent.contains(mark)).map_or("", |(_, name)| name)
}

fn browser(agent: &str) -> &'static str {
    const MARKS: &[(&str, &str)] = &[
        ("Edg/", "Edge"),
        ("EdgA/", "Edge"),
        ("EdgiOS/", "Edge"),
        ("OPR/", "Opera"),
        ("SamsungBrowser/", "Samsung Internet"),
        ("Vivaldi/", "Vivaldi"),
        ("FxiOS/", "Firefox"),
        ("Firefox/", "Firefox"),
        ("CriOS/", "Chrome"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ];
    first(agent, MARKS)
}

fn os(agent: &str) -> &'static str {
    const MARKS: &[(&str, &str)] = &[
        ("Windows", "Windows"),
        ("iPhone", "iOS"),
        ("iPad", "iPadOS"),
        ("Android", "Android"),
        ("CrOS", "ChromeOS"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ];
    first(agent, MARKS)
}

fn device_type(agent: &str) -> &'static str {
    let lower = agent.to_lowercase();
    if ["bot", "crawler", "spider"].iter().any(|mark| lower.contains(mark)) {
        "bot"
    } else if agent.contains("iPad") || (agent.contains("Android") && !agent.contains("Mobile")) {
        "tablet"
    } else if agent.contains("Mobile") || agent.contains("iPhone") {
        "mobile"
    } else if os(agent).is_empty() {
        "unknown"
    } else {
        "desktop"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_recognised() {
        for (agent, browser, os, device) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                "Firefox",
                "Linux",
                "desktop",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0",
                "Edge",
                "Windows",
                "desktop",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
                "Safari",
                "iOS",
                "mobile",
            ),
            (
                "Mozilla/5.0 (iPad; CPU OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0 Mobile/15E148 Safari/604.1",
                "Chrome",
                "iPadOS",
                "tablet",
            ),
            (
                "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Mobile Safari/537.36",
                "Chrome",
                "Android",
                "mobile",
            ),
            ("Mozilla/5.0 (compatible; Googlebot/2.1)", "", "", "bot"),
            ("curl/8.0", "curl", "", "unknown"),
            ("", "", "", "unknown"),
        ] {
            let client = Client::new("", agent).unwrap_or_default();
            assert_eq!(
                (client.browser.as_str(), client.os.as_str(), client.device_type.as_str()),
                (browser, os, device),
                "{agent}"
            );
        }
    }

    #[test]
    fn an_address_is_one_or_none() {
        assert!(Client::new("203.0.113.7", "").unwrap().ip == "203.0.113.7");
        assert!(Client::new("::ffff:203.0.113.7", "").unwrap().ip == "203.0.113.7");
        assert!(Client::new("", "").unwrap().ip.is_empty());
        assert!(Client::new("somewhere", "").is_err());
        assert!(Client::new("", &"ä".repeat(2_000)).is_ok());
    }
}
