use std::path::Path;

use super::*;

fn pair() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

fn write(dir: &Path, cert: &str, key: &str) -> TlsArgs {
    let args = TlsArgs {
        tls_cert: Some(dir.join("tls.crt")),
        tls_key: Some(dir.join("tls.key")),
        ..TlsArgs::default()
    };
    std::fs::write(dir.join("tls.crt"), cert).unwrap();
    std::fs::write(dir.join("tls.key"), key).unwrap();
    args
}

fn problems(args: &TlsArgs) -> Vec<String> {
    let mut problems = Vec::new();
    let config = args.resolve(&mut problems);
    assert_eq!(config.is_some(), problems.is_empty(), "{problems:?}");
    problems.iter().map(|p| format!("{p:?}")).collect()
}

#[test]
fn options_go_together_and_errors_hold_no_key() {
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = pair();
    assert_eq!(problems(&write(dir.path(), &cert, &key)).len(), 0);
    let both = write(dir.path(), &cert, &key);
    let half = TlsArgs {
        tls_key: None,
        ..both.clone()
    };
    assert!(problems(&half)[0].contains("--tls-key"));
    let secret = key.lines().nth(1).unwrap();
    for (cert, key) in [
        (&*cert, "nothing"),
        ("nothing", &*key),
        (&*cert, &*pair().1),
        (&*key, &*cert),
        (&*cert, &*key.replace("END PRIVATE", "END")),
    ] {
        let told = problems(&write(dir.path(), cert, key));
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("--tls-cert") && !told[0].contains(secret));
    }
    let gone = TlsArgs {
        tls_key: Some(dir.path().join("none")),
        ..both
    };
    assert!(problems(&gone)[0].contains("cannot read"));
    let alone = TlsArgs {
        redirect_listen: Some("127.0.0.1:0".to_owned()),
        ..TlsArgs::default()
    };
    let mut told = Vec::new();
    assert!(alone.resolve(&mut told).is_none());
    assert!(format!("{told:?}").contains("--redirect-listen"));
}

#[tokio::test(start_paused = true)]
async fn follows_a_swapped_symlink_and_keeps_a_good_pair() {
    let dir = tempfile::tempdir().unwrap();
    let data = |name: &str| dir.path().join(name);
    for name in ["one", "two"] {
        std::fs::create_dir(data(name)).unwrap();
        let (cert, key) = pair();
        write(&data(name), &cert, &key);
    }
    // As the kubelet does it: the files are links through a link that is swapped.
    std::os::unix::fs::symlink("one", data("..data")).unwrap();
    let certificate = Certificate::open(&data("..data/tls.crt"), &data("..data/tls.key")).unwrap();
    let certificate = Arc::new(certificate);
    let end = tokio_util::sync::CancellationToken::new();
    let task = tokio::spawn(Arc::clone(&certificate).follow(end.clone()));
    let wait = || tokio::time::sleep(Duration::from_secs(5));

    let first = certificate.config();
    wait().await;
    assert!(Arc::ptr_eq(&first, &certificate.config()), "unchanged");

    std::os::unix::fs::symlink("two", data("next")).unwrap();
    std::fs::rename(data("next"), data("..data")).unwrap();
    wait().await;
    let second = certificate.config();
    assert!(!Arc::ptr_eq(&first, &second), "not followed");

    std::fs::write(data("two/tls.key"), pair().1).unwrap();
    wait().await;
    assert!(
        Arc::ptr_eq(&second, &certificate.config()),
        "a foreign key was taken"
    );
    std::fs::remove_file(data("two/tls.crt")).unwrap();
    wait().await;
    assert!(
        Arc::ptr_eq(&second, &certificate.config()),
        "a lost file was taken"
    );

    let (cert, key) = pair();
    write(&data("two"), &cert, &key);
    wait().await;
    assert!(!Arc::ptr_eq(&second, &certificate.config()), "not mended");
    end.cancel();
    task.await.unwrap();
}
