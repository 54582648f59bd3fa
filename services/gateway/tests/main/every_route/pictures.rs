//! Pictures: bytes of three media types and a size, and asked for again by their tag.

use axum::body::Body;
use http::{HeaderValue, Method, header};
use lethe_proto::messaging;

use super::{PNG, Route, fill, routes};
use crate::support::{edge, request};

#[tokio::test]
async fn pictures_go_in_and_out_as_bytes() {
    let edge = edge().await;
    fill(&edge);
    for route in routes().into_iter().filter(|route| route.rpc == "PutContactPicture") {
        edge.send(route.request()).await;
        let calls = edge.behind.calls();
        let sent: messaging::PutContactPictureRequest = calls.last().expect("a call").read();
        assert_eq!((sent.media_type.as_str(), &sent.content[..]), ("image/png", PNG));
        for media_type in ["image/gif", "image/svg+xml", "application/json", "image/png; q=1"] {
            let mut request = route.request();
            request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_str(media_type).unwrap());
            let refused = edge.send(request).await.problem();
            assert_eq!((refused.0, refused.1.as_str()), (415, "MEDIA_TYPE_UNSUPPORTED"), "{media_type}");
        }
        for (length, status) in [(256 * 1024, 200), (256 * 1024 + 1, 413)] {
            let mut request = route.request();
            *request.body_mut() = Body::from(vec![0; length]);
            assert_eq!(edge.send(request).await.status, status, "{length}");
        }
        let shown = Route { method: Method::GET, operation: serde_json::json!({}), ..route.clone() };
        let path = route.filled();
        let ask = |name: &'static str, value: &'static str| {
            let mut request = request(shown.method.clone(), &path, "");
            request.headers_mut().insert(name, HeaderValue::from_static(value));
            edge.send(request)
        };
        let answer = ask("accept", "image/avif,image/webp").await;
        assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, Some("\"3\"")));
        assert_eq!((answer.header("content-type"), &answer.body[..]), (Some("image/png"), PNG));
        assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
        for (tags, status) in [("\"3\"", 304), ("\"2\", W/\"3\"", 304), ("*", 304), ("\"2\"", 200)] {
            let answer = ask("if-none-match", tags).await;
            assert_eq!((answer.status.as_u16(), answer.header("etag")), (status, Some("\"3\"")), "{tags}");
        }
    }
}
