//! What every command has in common: exit codes, where results and errors go, `--json`, `--help`, configuration.

use crate::support::cli::{Cli, words};
use crate::support::holds_null;

/// Every noun and verb.
const COMMANDS: &[&str] = &[
    "quickstart",
    "serve",
    "tenant create",
    "tenant list",
    "tenant show",
    "tenant disable",
    "tenant enable",
    "tenant delete",
    "resource create",
    "resource list",
    "resource show",
    "resource update",
    "resource describe",
    "resource delete",
    "client create",
    "client list",
    "client show",
    "client update",
    "client disable",
    "client enable",
    "client delete",
    "client allow",
    "client deny",
    "client secret add",
    "client secret list",
    "client secret retire",
    "user create",
    "user list",
    "user show",
    "user update",
    "user disable",
    "user enable",
    "user delete",
    "user password",
    "group create",
    "group list",
    "group show",
    "group delete",
    "group add",
    "group remove",
    "group members",
    "group of",
    "group owner add",
    "group owner remove",
    "group claim set",
    "group claim unset",
    "group role grant",
    "group role revoke",
    "key list",
    "key rotate",
    "key retire",
    "token inspect",
    "token revoke",
    "explain",
    "doctor",
];

/// Commands that succeed one after the other. Each begins with one of [`COMMANDS`]; those that need an id or a token are
/// in their own files.
const STORY: &[&str] = &[
    "tenant create contoso",
    "tenant list",
    "tenant show contoso",
    "tenant disable contoso",
    "tenant enable contoso",
    "tenant delete contoso --yes",
    "group create staff",
    "group create inner --description Inside",
    "resource create https://x.example.com --scope read --role Reader --default --require-group staff",
    "resource list",
    "resource show https://x.example.com",
    "resource update https://x.example.com --scope write",
    "resource describe https://x.example.com write Change",
    "resource show https://x.example.com",
    "client create --name Billing --id billing --allow https://x.example.com/read",
    "client create --name Phone --id phone --public --redirect-uri https://phone.example.com/cb",
    "client list",
    "client show billing",
    "client show phone",
    "client update billing --serves https://x.example.com",
    "client disable billing",
    "client enable billing",
    "client allow billing https://x.example.com/write",
    "client deny billing https://x.example.com/write",
    "client secret add billing",
    "client secret add billing --expires-in 30d",
    "client secret list billing",
    "user create ann --email ann@example.com",
    "user create bob --display-name Bob",
    "user list",
    "user show ann",
    "user update ann --no-email --display-name Ann",
    "user disable ann",
    "user enable ann",
    "group list",
    "group add staff --user ann",
    "group owner add staff --user ann",
    "user show ann",
    "user delete bob",
    "group add staff --group inner",
    "group add inner --client billing",
    "group members staff --transitive",
    "group of --client billing",
    "group owner add staff --client billing",
    "group claim set staff level 3",
    "group role grant staff https://x.example.com Reader",
    "group show staff",
    "explain --client billing --scope https://x.example.com/.default",
    "doctor",
    "group role revoke staff https://x.example.com Reader",
    "group claim unset staff level",
    "group owner remove staff --client billing",
    "group remove inner --client billing",
    "group delete inner",
    "key rotate",
    "key rotate --now",
    "key list",
    "key retire --alg RS256",
    "client delete billing",
    "resource delete https://x.example.com",
];

#[tokio::test]
async fn json_is_one_line_without_null_members_on_every_command() {
    let cli = Cli::new().await;
    for line in STORY {
        let value = cli.json(&words(line));
        assert!(!holds_null(&value), "{line}: {value}");
    }
    let elsewhere = ["quickstart", "serve", "client secret retire", "user password", "token inspect", "token revoke"];
    for command in COMMANDS.iter().filter(|command| !elsewhere.contains(*command)) {
        assert!(STORY.iter().any(|line| line.starts_with(command)), "{command} is not in the story");
    }
}

#[tokio::test]
async fn text_results_go_to_standard_output_on_every_command() {
    let cli = Cli::new().await;
    // The first command says on standard error that it made the database.
    cli.ok(&["tenant", "list"]);
    for line in STORY {
        let said = cli.run(&words(line));
        assert_eq!(said.code, 0, "{line}: {said:?}");
        assert!(said.out.ends_with('\n') && !said.out.trim().is_empty(), "{line}: {said:?}");
        let warns = line.ends_with("--now");
        assert_eq!(said.err.is_empty(), !warns, "{line}: {said:?}");
    }
}

#[tokio::test]
async fn help_exists_for_every_command_and_every_noun_has_an_example() {
    let cli = Cli::new().await;
    let bare = |line: &str| {
        let said = cli.run_bare(&words(&format!("{line} --help")));
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{line}");
        said.out
    };
    for command in COMMANDS {
        let text = bare(command);
        assert!(text.contains(&format!("Usage: grantor {command}")), "{command}: {text}");
        assert!(text.contains("--json") && text.contains("--tenant"), "{command}: {text}");
    }
    let nouns = ["tenant", "resource", "client", "client secret", "user", "group", "key", "token"];
    for noun in nouns.iter().chain(&["explain", "doctor", "serve", "quickstart"]) {
        assert!(bare(noun).contains("Example"), "no example under {noun}");
    }
    assert!(bare("").contains("Exit codes: 0 done, 1 refused or failed, 2 wrong usage"));
    assert!(!cli.folder.path().join("grantor.db").exists(), "help opened a database");
}

#[tokio::test]
async fn the_version_is_printed() {
    let said = Cli::new().await.run_bare(&["--version"]);
    assert_eq!(said.code, 0);
    assert_eq!(said.out, format!("grantor {}\n", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn wrong_usage_is_exit_code_2_and_says_where_help_is() {
    let cli = Cli::new().await;
    for line in [
        "",
        "nonsense",
        "client",
        "client nonsense",
        "client create",
        "client create --name x --nonsense",
        "client create --name x --grant password",
        "client create --name x --id a:b",
        "client create --name x --redirect-uri http://app.example.com/cb",
        "client create --name x --public --secret-stdin",
        "client list --limit 0",
        "client list --limit x",
        "client secret add app --expires-in soon",
        "client secret retire app not-a-uuid",
        "tenant create",
        "tenant create Contoso",
        "resource create",
        "resource create //x",
        "resource describe https://x.example.com read",
        "resource create https://x/#f",
        "resource create https://x.example.com --alg HS256",
        "resource create https://x.example.com --lifetime 1s",
        "resource create https://x.example.com --lifetime 31d",
        "resource create https://x.example.com --groups some",
        "resource create https://x.example.com --group-limit -1",
        "resource create https://x.example.com --scope openid",
        "resource create https://x.example.com --scope .default",
        "user create",
        "user create a:b",
        "user create ann --email nonsense",
        "user update ann --email a@b --no-email",
        "user update ann --display-name a --no-display-name",
        "user password ann",
        "group create a,b",
        "group add staff",
        "group add staff --client a --group b",
        "group of",
        "key rotate --alg none",
        "key retire",
        "token inspect",
        "explain",
        "doctor --log-format xml",
        "doctor --log grantor=loud",
    ] {
        cli.misused(&words(line), &[if line.is_empty() { "Usage: grantor" } else { "--help" }]);
    }
}

#[tokio::test]
async fn what_is_not_there_is_exit_code_1_and_says_where_to_look() {
    let cli = Cli::with_client().await;
    cli.ok(&["group", "create", "staff"]);
    for (line, see) in [
        ("tenant show x", "grantor tenant list"),
        ("client list --tenant x", "grantor tenant list"),
        ("resource show x", "grantor resource list"),
        ("resource delete x", "grantor resource list"),
        ("resource describe x read Read", "grantor resource list"),
        ("resource describe https://api.example.com admin Administer", "grantor resource show https://api.example.com"),
        ("client show x", "grantor client list"),
        ("client update x", "grantor client list"),
        ("client disable x", "grantor client list"),
        ("client delete x", "grantor client list"),
        ("client secret list x", "grantor client list"),
        ("client create --name x --serves x", "grantor resource list"),
        ("group show x", "grantor group list"),
        ("group add x --client app", "grantor group list"),
        ("group add staff --client x", "grantor client list"),
        ("group add staff --group x", "grantor group list"),
        ("user show x", "grantor user list"),
        ("user update x --no-email", "grantor user list"),
        ("user disable x", "grantor user list"),
        ("user enable x", "grantor user list"),
        ("user delete x", "grantor user list"),
        ("user password x --password-stdin", "grantor user list"),
        ("group add staff --user x", "grantor user list"),
        ("group of --client x", "grantor client list"),
        ("group owner add staff --client x", "grantor client list"),
        ("group role grant staff x Reader", "grantor resource list"),
        ("resource update https://api.example.com --require-group x", "grantor group list"),
        ("key retire x", "grantor key list"),
        ("client secret retire app 0198f0a2-0000-7000-8000-000000000000", "grantor client secret list app"),
    ] {
        cli.refused(&words(line), &[see]);
        // Errors are for people: with --json nothing is said on standard output either.
        cli.refused(&words(&format!("{line} --json")), &[see]);
    }
}

#[tokio::test]
async fn what_is_there_already_is_refused_with_the_command_that_shows_or_changes_it() {
    let cli = Cli::with_client().await;
    cli.ok(&["group", "create", "staff"]);
    cli.ok(&["user", "create", "ann"]);
    for (line, see) in [
        ("tenant create default", "grantor tenant show default"),
        ("resource create https://api.example.com", "grantor resource update"),
        ("client create --name x --id app", "grantor client update"),
        ("user create ann", "grantor user show ann"),
        ("user create ANN", "grantor user show ann"),
        ("group create staff", "grantor group show"),
    ] {
        cli.refused(&words(line), &["already", see]);
    }
}

#[tokio::test]
async fn flags_win_over_the_environment_and_that_over_the_file() {
    let mut cli = Cli::new().await;
    let file = "database = 'from-file.db'\nkeys = 'keys-of-file'\n[server]\nlisten = '127.0.0.1:1111'\n\
                public_url = 'https://file.example.com'\n";
    let file = cli.write("grantor.toml", file);
    let issuer = |cli: &Cli, args: &[&str]| {
        let said = cli.run_bare(&[&["tenant", "show", "default", "--json"], args].concat());
        assert_eq!(said.code, 0, "{said:?}");
        said.json()["issuer"].as_str().unwrap().to_owned()
    };
    let exists = |cli: &Cli, name: &str| cli.folder.path().join(name).exists();
    // Defaults.
    assert_eq!(issuer(&cli, &[]), "http://127.0.0.1:8080");
    assert!(exists(&cli, "grantor.db") && exists(&cli, "keys/kek"));
    // A file.
    assert_eq!(issuer(&cli, &["--config", &file]), "https://file.example.com");
    assert!(exists(&cli, "from-file.db") && exists(&cli, "keys-of-file/kek"));
    // The environment.
    cli.set("GRANTOR_CONFIG", &file);
    cli.set("GRANTOR_DATABASE", "from-environment.db");
    cli.set("GRANTOR_KEYS", "keys-of-environment");
    cli.set("GRANTOR_PUBLIC_URL", "https://environment.example.com");
    assert_eq!(issuer(&cli, &[]), "https://environment.example.com");
    assert!(exists(&cli, "from-environment.db") && exists(&cli, "keys-of-environment/kek"));
    // Flags.
    issuer(&cli, &["--database", "from-flag.db", "--keys", "keys-of-flag"]);
    assert!(exists(&cli, "from-flag.db") && exists(&cli, "keys-of-flag/kek"));
    cli.set("GRANTOR_TENANT", "nobody");
    let said = cli.run_bare(&["client", "list"]);
    assert!(said.code == 1 && said.err.contains("nobody"), "{said:?}");
    assert_eq!(cli.run_bare(&["client", "list", "--tenant", "default"]).code, 0);
}

#[tokio::test]
async fn the_listening_address_is_the_public_url_unless_that_is_set() {
    let mut cli = Cli::new().await;
    let issuer = |cli: &Cli| cli.json(&["tenant", "show", "default"])["issuer"].as_str().unwrap().to_owned();
    let file = cli.write("grantor.toml", "server = { listen = '127.0.0.1:1111' }");
    cli.set("GRANTOR_CONFIG", &file);
    assert_eq!(issuer(&cli), "http://127.0.0.1:1111");
    cli.set("GRANTOR_LISTEN", "127.0.0.1:2222");
    assert_eq!(issuer(&cli), "http://127.0.0.1:2222");
    cli.set("GRANTOR_TLS_CERT", "cert.pem");
    cli.set("GRANTOR_TLS_KEY", "key.pem");
    assert_eq!(issuer(&cli), "https://127.0.0.1:2222");
    // Every address: a command that only changes data works all the same.
    cli.set("GRANTOR_LISTEN", "0.0.0.0:2222");
    assert_eq!(issuer(&cli), "https://127.0.0.1:2222");
}

#[tokio::test]
async fn a_mistake_in_the_configuration_file_is_named() {
    let cli = Cli::new().await;
    for (text, says) in [
        ("databse = 'x.db'\n", "databse"),
        ("[server]\nlisten = '127.0.0.1:1'\nport = 1\n", "port"),
        ("[sever]\n", "sever"),
        ("[server]\ntls_cert = 'a.pem'\n", "tls_cert and server.tls_key go together"),
        ("[server]\ntls_key = 'a.pem'\n", "tls_cert and server.tls_key go together"),
        ("[server]\nlisten = 'localhost'\n", "line 2"),
        ("[rotation]\nevery = '1h'\nannounce = '2h'\n", "rotation.announce must be shorter"),
        ("[rotation]\nannounce = '1s'\n", "at least 300 seconds"),
        ("[cache]\nmax_age = 'long'\n", "duration 'long'"),
        ("not toml", "line 1"),
        ("[server]\npublic_url = 'example.com'\n", "public URL 'example.com' is not usable"),
    ] {
        let file = cli.write("grantor.toml", text);
        cli.misused(&["tenant", "list", "--config", &file], &[says]);
    }
    cli.misused(&["tenant", "list", "--config", "missing.toml"], &["missing.toml"]);
}

#[tokio::test]
async fn a_database_password_is_never_shown() {
    let mut cli = Cli::new().await;
    let word = "Correct-Horse-7";
    let urls = [
        format!("postgres://grantor:{word}@127.0.0.1:1/grantor"),
        format!("postgres://grantor:{word}@[oops/grantor"),
        format!("postgress://grantor:{word}@127.0.0.1/grantor"),
        format!("postgres:/grantor:{word}@127.0.0.1/grantor"),
    ];
    for url in &urls {
        for line in ["tenant list", "doctor", "doctor --json", "serve --listen 127.0.0.1:0", "tenant list --log debug"]
        {
            let said = cli.run_bare(&[&words(line)[..], &["--database", url]].concat());
            assert_ne!(said.code, 0, "{said:?}");
            assert!(!said.out.contains(word) && !said.err.contains(word), "{line}: {said:?}");
        }
        for text in [format!("databse = '{url}'"), format!("database = {url}"), format!("database = '{url}")] {
            let file = cli.write("grantor.toml", &text);
            let said = cli.run_bare(&["tenant", "list", "--config", &file]);
            assert_eq!(said.code, 2, "{said:?}");
            assert!(!said.err.contains(word), "{said:?}");
        }
    }
    // Of a database that answers too, where there is one that takes a password.
    if let Ok(mut url) = url::Url::parse(&cli.database_url()) {
        url.set_password(Some(word)).unwrap();
        for line in ["doctor", "doctor --json --log debug", "tenant list --log sqlx=trace,grantor=trace"] {
            let said = cli.run_bare(&[&words(line)[..], &["--database", url.as_str()]].concat());
            assert_eq!(said.code, 0, "{said:?}");
            assert!(!said.out.contains(word) && !said.err.contains(word), "{line}: {said:?}");
        }
    }
    cli.set("GRANTOR_DATABASE", &urls[0]);
    for line in ["--help", "doctor --help", "doctor", "doctor --nonsense"] {
        let said = cli.run_bare(&words(line));
        assert!(!said.out.contains(word) && !said.err.contains(word), "{line}: {said:?}");
    }
}

#[tokio::test]
async fn a_new_database_is_mentioned_once() {
    let cli = Cli::new().await;
    let first = cli.run_bare(&["tenant", "list"]);
    assert_eq!((first.code, first.err.contains("there is no database at grantor.db yet")), (0, true), "{first:?}");
    assert_eq!(cli.run_bare(&["tenant", "list"]).err, "");
}
