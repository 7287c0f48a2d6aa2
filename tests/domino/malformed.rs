//! Everything of a request that can be malformed, one row for each: what is sent, and the status, the code
//! and some words of the answer. Nothing of it changes the cluster.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use super::identity::{ADA, key_of};
use super::old::refuses;
use super::support::request::Answer;
use super::world::WORLD;

/// What is sent; status, code and words of the answer.
type Row<'a> = (&'a str, u16, &'a str, &'a str);

const LATER: &str = "/ddl_cluster_scaler";

/// Makes a cluster, and finds it as it was made afterwards, to the last of its managed fields.
#[track_caller]
fn untouched(name: &str, act: impl FnOnce()) {
    let before = WORLD.cluster(name, ADA);
    act();
    assert_eq!(WORLD.find("rayclusters", name), Some(before));
}

#[track_caller]
fn says(answer: &Answer, sent: &str, (status, code, words): (u16, &str, &str)) {
    assert!(refuses(answer, status, code), "{sent}: {answer:?}");
    let message = answer.json()["message"].as_str().expect("words").to_owned();
    assert!(message.contains(words), "{sent}: {message}");
}

/// Every route that reads a body.
fn writing(name: &str) -> [(&'static str, String); 5] {
    [
        ("POST", "/raycluster/scale".to_owned()),
        ("POST", "/rayclusterscaler/restore".to_owned()),
        ("PATCH", format!("{LATER}/scale/rayclusters/{name}")),
        ("POST", format!("{LATER}/scale/rayclusters/{name}")),
        ("PATCH", format!("{LATER}/restart_head/rayclusters/{name}")),
    ]
}

#[test]
fn a_malformed_body_is_a_bad_request_on_every_route_that_reads_one() {
    let name = "ray-malformed";
    let good = format!(r#""cluster_name": "{name}", "replicas": 5"#);
    let no_object =
        ["[]", "[1]", "\"x\"", "5", "null", "true", "\u{0}", "\u{feff}{}", "<a/>", "a=1"];
    let unreadable = [
        "{".to_owned(),
        format!("{{{good}"),
        format!("{{{good},}}"),
        format!("{{{good}}}{{}}"),
        format!("{{{good}}} x"),
        format!("{{{good}, {good}}}"),
        format!("{{{good}, \"head_hw_tier_name\": \"\", \"head_hw_tier_name\": \"Small\"}}"),
        good.replace('"', "'").replacen("'cluster", "{'cluster", 1) + "}",
        format!("{{{good}, x: 1}}"),
        format!("{{{good}, \"x\": NaN}}"),
        format!("{{{good}, \"x\": 05}}"),
        format!("{{{good}, \"x\": +5}}"),
        format!("{{{good}, \"x\": 0x5}}"),
        format!("{{{good}, \"x\": .5}}"),
        format!("{{{good}, \"x\": \"\n\"}}"),
        format!("{{{good}, \"x\": \"\\u12\"}}"),
    ];
    untouched(name, || {
        for (method, path) in writing(name) {
            for body in no_object {
                let answer = WORLD.api.send("ada", method, &path, body);
                says(&answer, body, (400, "bad_request", "the body is no JSON object; expected"));
            }
            for body in &unreadable {
                let answer = WORLD.api.send("ada", method, &path, body);
                says(&answer, body, (400, "bad_request", "the body cannot be read ("));
            }
            let long = format!("{{{good}, \"x\": \"{}\"}}", "x".repeat(70_000));
            let answer = WORLD.api.send("ada", method, &path, &long);
            says(&answer, "a long one", (413, "body_too_large", "longer than 65536 bytes"));
            let bytes = [b"{\"cluster_name\": \"", &[0xff, 0xfe][..], b"\"}"].concat();
            let head = format!("X-Domino-Api-Key: ada\r\nContent-Length: {}\r\n", bytes.len());
            let answer = raw(&format!("{method} {path}"), head.as_bytes(), &bytes);
            says(&answer, "no UTF-8", (400, "bad_request", "the body cannot be read ("));
        }
    });
}

#[test]
fn a_body_that_is_empty_is_missed_where_it_must_say_something() {
    untouched("ray-bodiless", || {
        for (method, path) in &writing("ray-bodiless")[..4] {
            for body in ["", " \n"] {
                let answer = WORLD.api.send("ada", method, path, body);
                says(&answer, path, (400, "bad_request", "the body is no JSON object"));
            }
        }
    });
}

#[test]
fn a_body_that_breaks_off_or_never_comes_is_told_so_and_changes_nothing() {
    untouched("ray-broken-off", || {
        let body = r#"{"cluster_name": "ray-broken-off", "replicas": 5}"#;
        let late = format!("X-Domino-Api-Key: ada\r\nContent-Length: {}\r\n", body.len() + 1);
        let answer = raw("POST /raycluster/scale", late.as_bytes(), body.as_bytes());
        says(&answer, "too little", (408, "request_timeout", "did not arrive in time"));
        let chunked = b"X-Domino-Api-Key: ada\r\nTransfer-Encoding: chunked\r\n";
        let answer = raw("POST /raycluster/scale", chunked, b"not-a-size\r\n{}\r\n0\r\n\r\n");
        says(&answer, "no chunk", (400, "bad_request", "the body broke off"));
    });
}

#[test]
fn a_number_that_is_no_count_is_told_with_what_is_allowed() {
    let whole = "expected a whole number, such as 5";
    let fits = "expected 1 or more, and no more than fits, such as 5";
    let rows: [Row<'_>; 21] = [
        ("\"5\"", 400, "bad_request", whole),
        ("\"\"", 400, "bad_request", whole),
        ("\"five\"", 400, "bad_request", whole),
        ("2.5", 400, "bad_request", whole),
        ("3.9", 400, "bad_request", whole),
        ("5.0", 400, "bad_request", whole),
        ("1e3", 400, "bad_request", whole),
        ("-0.0", 400, "bad_request", whole),
        ("true", 400, "bad_request", whole),
        ("false", 400, "bad_request", whole),
        ("null", 400, "bad_request", "replicas is null; expected a whole number"),
        ("[5]", 400, "bad_request", whole),
        ("{}", 400, "bad_request", whole),
        ("-1", 400, "bad_request", fits),
        ("-2147483649", 400, "bad_request", fits),
        ("2147483648", 400, "bad_request", fits),
        ("99999999999", 400, "bad_request", fits),
        ("9223372036854775808", 400, "bad_request", "replicas is 9223372036854775808; expected"),
        ("1e400", 400, "bad_request", "the body cannot be read (number out of range"),
        ("0", 422, "zero_workers", "Scale to 1, or stop the cluster in Domino to suspend it"),
        ("", 400, "bad_request", "replicas is missing; say how many workers"),
    ];
    untouched("ray-numbers", || {
        for (count, status, code, words) in rows {
            let member =
                if count.is_empty() { String::new() } else { format!(", \"replicas\": {count}") };
            let body = format!(r#"{{"cluster_name": "ray-numbers"{member}}}"#);
            for (method, path) in writing("ray-numbers")
                .into_iter()
                .filter(|(_, it)| it.contains("scale/") || it.ends_with("/scale"))
            {
                let answer = WORLD.api.send("ada", method, &path, &body);
                says(&answer, &body, (status, code, words));
            }
        }
    });
}

#[test]
fn a_name_in_a_body_is_a_name_or_refused() {
    let odd = [
        "",
        " ",
        "-ray",
        "ray-",
        ".ray",
        "ray.",
        "ray..1",
        "RAY",
        "ray_1",
        "ray 1",
        "../pods/x",
        "a/b",
        "a?b",
        "a#b",
        "a%2fb",
        "r\u{e9}",
        "ray\n",
        "ray\u{0}",
        "*",
        &"a".repeat(254),
    ];
    let untold = [
        ("5", "cluster_name is 5; expected a string"),
        ("null", "cluster_name is null; expected a string"),
        ("true", "expected a string"),
        ("[]", "expected a string"),
        ("{\"a\": 1}", "expected a string"),
    ];
    for path in ["/raycluster/scale", "/rayclusterscaler/scale", "/raycluster/restore"] {
        for name in odd {
            let body = json!({"cluster_name": name, "replicas": 5}).to_string();
            let answer = WORLD.api.send("root", "POST", path, &body);
            says(
                &answer,
                name,
                (400, "bad_request", "cannot be the name of a cluster: expected lower-case"),
            );
        }
        for (name, words) in untold {
            let body = format!("{{\"cluster_name\": {name}, \"replicas\": 5}}");
            says(&WORLD.api.send("root", "POST", path, &body), name, (400, "bad_request", words));
        }
        let answer = WORLD.api.send("root", "POST", path, r#"{"replicas": 5}"#);
        says(&answer, "no name", (400, "bad_request", "cluster_name is missing; name the cluster"));
    }
}

#[test]
fn a_name_in_a_path_is_a_name_or_refused_before_any_body_is_read() {
    let odd = [
        "",
        "-ray",
        "ray-",
        ".ray",
        "ray.",
        "ray..1",
        "RAY",
        "ray_1",
        "ray%201",
        "..%2F..%2Fpods%2Fx",
        "%2e%2e",
        "a%00b",
        "a%3Fb",
        "r%C3%A9",
        "*",
        &"a".repeat(254),
    ];
    let routes = [
        ("GET", "/raycluster/NAME"),
        ("GET", "/rayclusterscaler/NAME"),
        ("GET", "/ddl_cluster_scaler/cluster/rayclusters/NAME"),
        ("GET", "/ddl_cluster_scaler/get/rayclusters/NAME"),
        ("PATCH", "/ddl_cluster_scaler/scale/rayclusters/NAME"),
        ("POST", "/ddl_cluster_scaler/scale/rayclusters/NAME"),
        ("PATCH", "/ddl_cluster_scaler/restore/rayclusters/NAME"),
        ("PATCH", "/ddl_cluster_scaler/restart_head/rayclusters/NAME"),
        (
            "GET",
            "/ddl_cluster_scaler/restart_head_status/rayclusters/NAME?started_at=2025-10-02T09:30:00Z",
        ),
        ("GET", "/ddl_cluster_scaler/restart_status/rayclusters/NAME/head"),
        ("GET", "/ddl_cluster_scaler/restart_status/rayclusters/NAME/worker"),
    ];
    for (method, path) in routes {
        for name in odd {
            let path = path.replace("NAME", name);
            let answer = WORLD.api.send("root", method, &path, "no body");
            says(
                &answer,
                &path,
                (400, "bad_request", "cannot be the name of a cluster: expected lower-case"),
            );
        }
    }
}

#[test]
fn a_kind_a_node_a_time_or_a_page_that_is_none_is_told_what_there_is() {
    let status =
        |query: &str| format!("{LATER}/restart_head_status/rayclusters/ray-parameters{query}");
    let node = |rest: &str| format!("{LATER}/restart_status/rayclusters/ray-parameters/{rest}");
    let list = |query: &str| format!("/raycluster/list{query}");
    let mut rows = Vec::new();
    for kind in
        ["", "secrets", "pods", "RAYCLUSTERS", "raycluster", "rayclusters.ray.io", "%72ayclusters"]
    {
        rows.push((format!("{LATER}/list/{kind}"), 400, "invalid_kind", "the kind is rayclusters"));
        rows.push((
            format!("{LATER}/cluster/{kind}/r"),
            400,
            "invalid_kind",
            "the kind is rayclusters",
        ));
    }
    for kind in ["daskclusters", "sparkclusters"] {
        rows.push((format!("{LATER}/list/{kind}"), 404, "not_found", "Ray clusters alone"));
    }
    for odd in ["", "x", "heads", "HEAD", "worker%20"] {
        rows.push((node(odd), 400, "bad_request", "head"));
    }
    rows.push((status(""), 400, "bad_request", "started_at is missing"));
    rows.push((status("?started_at="), 400, "bad_request", "started_at is missing"));
    for time in
        ["yesterday", "12345", "2025-10-02", "2025-13-02T00:00:00Z", "2025-10-02T25:00:00Z", "0"]
    {
        let query = format!("?started_at={time}");
        rows.push((status(&query), 400, "bad_request", "expected a time as in ISO 8601"));
        rows.push((
            node(&format!("head{query}")),
            400,
            "bad_request",
            "expected a time as in ISO 8601",
        ));
    }
    for limit in ["", "0", "501", "-1", "1.5", "x", "99999999999"] {
        rows.push((
            list(&format!("?limit={limit}")),
            400,
            "bad_request",
            "limit is a number from 1 to 500",
        ));
    }
    rows.push((list("?continue=abc"), 400, "bad_request", "continue goes with limit"));
    rows.push((list("?limit=2&continue=forged"), 400, "bad_request", "begin anew"));
    rows.push((
        list(&format!("?limit=2&continue={}", "x".repeat(4097))),
        400,
        "bad_request",
        "continue goes with",
    ));
    untouched("ray-parameters", || {
        for (path, status, code, words) in &rows {
            says(&WORLD.api.get("ada", path), path, (*status, *code, *words));
        }
    });
}

#[test]
fn a_tier_that_is_no_name_or_no_tiers_name_is_told_so() {
    let rows: [Row<'_>; 8] = [
        ("5", 400, "bad_request", "is 5; expected the name of a hardware tier"),
        ("true", 400, "bad_request", "expected the name of a hardware tier"),
        ("[\"Small\"]", 400, "bad_request", "expected the name of a hardware tier"),
        ("{}", 400, "bad_request", "expected the name of a hardware tier"),
        ("\"small\"", 400, "invalid_hw_tier", "names are case-sensitive"),
        ("\"Nope\"", 400, "invalid_hw_tier", "does not exist"),
        ("\" Small\"", 400, "invalid_hw_tier", "does not exist"),
        ("\"Old\"", 400, "invalid_hw_tier", "archived"),
    ];
    untouched("ray-odd-tiers", || {
        for (tier, status, code, words) in rows {
            for (route, field) in
                [("scale", "worker_hw_tier_name"), ("restart_head", "head_hw_tier_name")]
            {
                let path = format!("{LATER}/{route}/rayclusters/ray-odd-tiers");
                let body = format!("{{\"replicas\": 5, \"{field}\": {tier}}}");
                says(&WORLD.api.send("ada", "PATCH", &path, &body), &body, (status, code, words));
            }
        }
    });
}

#[test]
fn a_header_that_is_no_single_credential_is_refused_on_every_route() {
    let (unknown, none) = ("Domino does not know this credential", "no credential: send");
    let long = format!("X-Domino-Api-Key: {}", "x".repeat(16 * 1024 + 1));
    // Three parts, and the claims of a service account in the middle.
    let kubernetes =
        "Authorization: Bearer e30.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6YTpiIn0.c2ln";
    let rows: [Row<'_>; 17] = [
        ("X-Other: 1", 401, "unauthenticated", none),
        ("Cookie: token=ada", 401, "unauthenticated", none),
        ("X-Domino-Api-Key:", 401, "unauthenticated", none),
        ("Authorization:", 401, "unauthenticated", none),
        ("Authorization: Bearer", 401, "unauthenticated", "no bearer token"),
        ("Authorization: Bearer  ", 401, "unauthenticated", "no bearer token"),
        ("Authorization: ada", 401, "unauthenticated", "no bearer token"),
        ("Authorization: Basic YWRhOmFkYQ==", 401, "unauthenticated", "no bearer token"),
        ("Authorization: Bearer ada ada", 401, "unauthenticated", "no bearer token"),
        ("Authorization: Bearer,ada", 401, "unauthenticated", "no bearer token"),
        (
            "Authorization: Bearer ada\r\nAuthorization: Bearer ada",
            401,
            "unauthenticated",
            "Authorization is there twice",
        ),
        (
            "X-Domino-Api-Key: ada\r\nx-domino-api-key: eve",
            401,
            "unauthenticated",
            "X-Domino-Api-Key is there twice",
        ),
        (&long, 401, "unauthenticated", "longer than any credential"),
        ("X-Domino-Api-Key: ad\u{e9}", 401, "unauthenticated", "characters that no credential has"),
        ("X-Domino-Api-Key: mallory", 401, "unauthenticated", unknown),
        ("X-Domino-Api-Key: mallory\r\nAuthorization: Bearer ada", 401, "unauthenticated", unknown),
        (kubernetes, 401, "kubernetes_token", "it is not passed on to Domino"),
    ];
    untouched("ray-headers", || {
        let body = r#"{"cluster_name": "ray-headers", "replicas": 5}"#;
        let routes = writing("ray-headers").map(|(method, path)| format!("{method} {path}"));
        let reads = ["GET /raycluster/list", "GET /raycluster/ray-headers"].map(str::to_owned);
        for route in routes.iter().chain(&reads) {
            for (headers, status, code, words) in rows {
                let head = format!("{headers}\r\nContent-Length: {}\r\n", body.len());
                let answer = raw(route, head.as_bytes(), body.as_bytes());
                let sent: String = format!("{route} {headers}").chars().take(200).collect();
                says(&answer, &sent, (status, code, words));
            }
        }
    });
}

#[test]
fn what_is_no_http_is_turned_away_at_the_door() {
    let body = r#"{"cluster_name": "ray-door", "replicas": 5}"#;
    let heads = [
        "Content-Length: many",
        "Content-Length: -1",
        "Content-Length: 5\r\nContent-Length: 6",
        "Transfer-Encoding: gzip",
        "Bad Name: 1",
        "No colon",
        "X: \u{0}",
    ];
    untouched("ray-door", || {
        for head in heads {
            let head = format!("X-Domino-Api-Key: ada\r\n{head}\r\n");
            let answer = raw("POST /raycluster/scale", head.as_bytes(), body.as_bytes());
            assert_eq!((answer.status, answer.body.as_str()), (400, ""), "{head}");
        }
        for line in [
            "POST",
            "POST /raycluster/scale more",
            "P\u{e9}ST /raycluster/scale",
            "POST raycluster/scale",
        ] {
            let answer = raw(line, b"X-Domino-Api-Key: ada\r\n", body.as_bytes());
            assert!([400, 404, 414].contains(&answer.status), "{line}: {answer:?}");
        }
    });
}

#[test]
fn a_header_may_have_any_case() {
    WORLD.cluster("ray-cases", ADA);
    for name in ["x-domino-api-key", "X-DOMINO-API-KEY"] {
        let key = (name.to_owned(), key_of("ada").1);
        assert_eq!(WORLD.api.call("GET", "/raycluster/ray-cases", &[key], "").status, 200);
    }
}

/// Sends these very bytes, and reads until the end of the connection.
#[track_caller]
fn raw(line: &str, head: &[u8], body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", WORLD.api.port)).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time");
    let begin = format!(
        "{line} HTTP/1.1\r\nHost: rayclusterscaler-svc.domino-field\r\nConnection: close\r\n"
    );
    // It may answer and close before it has read everything.
    drop(stream.write_all(&[begin.as_bytes(), head, b"\r\n", body].concat()));
    let mut bytes = Vec::new();
    drop(stream.read_to_end(&mut bytes));
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(": "));
    Answer {
        status: status.unwrap_or_default(),
        headers: headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect(),
        body: body.to_owned(),
    }
}
