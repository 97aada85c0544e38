//! Every word that people see on a page, one constant per language.
//!
//! Another language is another constant of [`Texts`]. A text that takes a value is a [`Phrase`]; one that counts is a
//! function, because languages count differently.

use crate::store::groups::COUNTED;

/// A text with one place for a value, written `{}`.
#[derive(Debug, Clone, Copy)]
pub struct Phrase(&'static str);

impl Phrase {
    /// The text with the value in its place.
    pub fn with(&self, value: &str) -> String {
        format!("{}{value}{}", self.before(), self.after())
    }

    /// What stands before the value, for a template that marks the value up.
    pub fn before(&self) -> &'static str {
        self.0.split_once("{}").map_or(self.0, |(before, _)| before)
    }

    /// What stands after it.
    pub fn after(&self) -> &'static str {
        self.0.split_once("{}").map_or("", |(_, after)| after)
    }
}

/// The texts of one language, by page.
#[derive(Debug)]
#[expect(missing_docs, reason = "the name of a text and its English words say what it is")]
pub struct Texts {
    /// The language (BCP 47), for `<html lang>`.
    pub lang: &'static str,
    /// The direction of its script, `ltr` or `rtl`, for `<html dir>`.
    pub dir: &'static str,
    pub product: &'static str,
    pub signed_in_as: Phrase,
    pub use_another_account: &'static str,
    pub go_on: &'static str,
    pub problem: &'static str,
    pub form_expired: &'static str,
    pub home: HomeTexts,
    pub login: LoginTexts,
    pub consent: ConsentTexts,
    pub select: SelectTexts,
    pub device: DeviceTexts,
    pub form_post: FormPostTexts,
    pub error: ErrorTexts,
    pub logout: LogoutTexts,
    pub account: AccountTexts,
    pub group: GroupTexts,
}

impl Texts {
    /// "Signed in as Ada".
    pub fn signed_in_as(&self, name: &str) -> String {
        self.signed_in_as.with(name)
    }
}

/// The address of the server itself.
#[derive(Debug)]
#[expect(missing_docs, reason = "the name of a text and its English words say what it is")]
pub struct HomeTexts {
    pub running: &'static str,
    pub issuer: &'static str,
    pub metadata: &'static str,
    pub keys: &'static str,
    pub token_endpoint: &'static str,
    pub readiness: &'static str,
}

/// Signing in.
#[derive(Debug)]
#[expect(missing_docs, reason = "the name of a text and its English words say what it is")]
pub struct LoginTexts {
    pub title: &'static str,
    pub to_continue_to: Phrase,
    pub to_your_account: &'static str,
    pub tenant: &'static str,
    pub username: &'static str,
    pub password: &'static str,
    pub login: &'static str,
    /// Unknown and wrong are one answer, so that nobody learns which users exist.
    pub wrong: &'static str,
    pub throttled: &'static str,
    pub disabled: &'static str,
    pub cookies_needed: &'static str,
}

/// Letting a client act.
#[derive(Debug)]
#[expect(missing_docs, reason = "the name of a text and its English words say what it is")]
pub struct ConsentTexts {
    pub title: &'static str,
    pub asks: Phrase,
    pub client_id: &'static str,
    pub unverified_title: &'static str,
    pub unverified: &'static str,
    pub permissions: &'static str,
    pub at_resource: Phrase,
    pub new: &'static str,
    pub no_permissions: &'static str,
    pub destination: Phrase,
    pub withdraw: &'static str,
    pub approve: &'static str,
    pub deny: &'static str,
    pub scope_openid: &'static str,
    pub scope_profile: &'static str,
    pub scope_email: &'static str,
    pub scope_groups: &'static str,
    pub scope_offline_access: &'static str,
    pub scope_default: &'static str,
    pub scope_other: Phrase,
}

/// Choosing an account.
#[derive(Debug)]
#[expect(missing_docs, reason = "the name of a text and its English words say what it is")]
pub struct SelectTexts {
    pub title: &'static str,
}

/// Connecting a device that has no browser.
#[derive(Debug)]
#[expect(missing_docs, reason = "the name of a text and its English words say what it is")]
pub struct DeviceTexts {
    pub title: &'static str,
    pub enter: &'static str,
    pub compare: &'static str,
    pub code: &'static str,
    pub wrong: &'static str,
    pub throttled: &'static str,
    /// What the login page leads to.
    pub your_device: &'static str,
    pub check: Phrase,
    pub afterwards: &'static str,
    pub done_title: &'static str,
    pub done: Phrase,
    pub denied_title: &'static str,
    pub denied: Phrase,
}

/// Handing the answer to the client by a form.
#[derive(Debug)]
#[expect(missing_docs, reason = "the name of a text and its English words say what it is")]
pub struct FormPostTexts {
    pub title: &'static str,
    pub explanation: &'static str,
}

/// A request that failed.
#[derive(Debug)]
#[expect(missing_docs, reason = "the name of a text and its English words say what it is")]
pub struct ErrorTexts {
    pub title: &'static str,
    pub title_not_found: &'static str,
    pub title_unavailable: &'static str,
    pub details: &'static str,
    pub details_for: &'static str,
    pub error: &'static str,
    pub code: &'static str,
    pub trace_id: &'static str,
    pub timestamp: &'static str,
    pub hint_application: &'static str,
    pub hint_retry: &'static str,
}

/// Signing out.
#[derive(Debug)]
#[expect(missing_docs, reason = "the name of a text and its English words say what it is")]
pub struct LogoutTexts {
    pub title: &'static str,
    pub explanation: &'static str,
    pub logout: &'static str,
    pub done_title: &'static str,
    pub done: &'static str,
}

/// One's own account.
#[derive(Debug)]
#[expect(missing_docs, reason = "the name of a text and its English words say what it is")]
pub struct AccountTexts {
    pub title: &'static str,
    pub username: &'static str,
    pub display_name: &'static str,
    pub email: &'static str,
    pub logout: &'static str,
    pub sessions: &'static str,
    pub sessions_empty: &'static str,
    pub session_current: &'static str,
    pub session_address: Phrase,
    pub session_since: Phrase,
    pub session_seen: Phrase,
    pub session_end: &'static str,
    /// What a screen reader hears instead, since there are several such buttons.
    pub session_end_named: Phrase,
    pub session_ended: &'static str,
    pub session_unknown_device: &'static str,
    /// Between the browser and the system: "Firefox on Linux".
    pub session_on: &'static str,
    pub consents: &'static str,
    pub consents_empty: &'static str,
    pub consent_since: Phrase,
    pub consent_withdraw: &'static str,
    pub consent_withdraw_named: Phrase,
    pub consent_withdrawn: &'static str,
    pub groups: &'static str,
    pub groups_empty: &'static str,
    pub group_members: fn(usize) -> String,
}

/// A group in the hands of its owner.
#[derive(Debug)]
#[expect(missing_docs, reason = "the name of a text and its English words say what it is")]
pub struct GroupTexts {
    pub label: &'static str,
    pub back: &'static str,
    pub members: &'static str,
    pub members_empty: &'static str,
    pub members_more: &'static str,
    pub kind_user: &'static str,
    pub kind_client: &'static str,
    pub kind_group: &'static str,
    pub remove: &'static str,
    pub remove_named: Phrase,
    pub add_title: &'static str,
    pub add_kind: &'static str,
    pub add_name: &'static str,
    pub add_hint: &'static str,
    pub add: &'static str,
    pub added: Phrase,
    pub removed: Phrase,
    pub unknown_user: Phrase,
    pub unknown_client: Phrase,
    pub already_member: Phrase,
    pub name_missing: &'static str,
}

/// English.
pub const ENGLISH: Texts = Texts {
    lang: "en",
    dir: "ltr",
    product: "Grantor",
    signed_in_as: Phrase("Signed in as {}"),
    use_another_account: "Use another account",
    go_on: "Continue",
    problem: "Problem",
    form_expired: "This page was open for too long. Please try again.",
    home: HomeTexts {
        running: "This OAuth 2.0 authorization server is running.",
        issuer: "Issuer",
        metadata: "Metadata",
        keys: "Keys",
        token_endpoint: "Token endpoint",
        readiness: "Readiness",
    },
    login: LoginTexts {
        title: "Sign in",
        to_continue_to: Phrase("to continue to {}"),
        to_your_account: "to manage your account",
        tenant: "Directory",
        username: "Username",
        password: "Password",
        login: "Sign in",
        wrong: "The username or the password is not right.",
        throttled: "There were too many attempts. Wait five minutes, then try again.",
        disabled: "This account is disabled. Your administrator can tell you why.",
        cookies_needed: "Your browser sent no cookie. Allow cookies for this site, then try again.",
    },
    consent: ConsentTexts {
        title: "Allow access?",
        asks: Phrase("{} would like to use your account"),
        client_id: "Application ID",
        unverified_title: "Check that you started this",
        unverified: "This application cannot prove who it is: others could use its name. Go on only if you opened it \
                     yourself just now.",
        permissions: "If you allow it, it can:",
        at_resource: Phrase("At {}"),
        new: "New",
        no_permissions: "It asks for nothing but to know that you signed in.",
        destination: Phrase("You will be sent to {}"),
        withdraw: "You can withdraw access later on your account page.",
        approve: "Allow",
        deny: "Do not allow",
        scope_openid: "Know who you are",
        scope_profile: "See your name",
        scope_email: "See your e-mail address",
        scope_groups: "See the groups that you are in",
        scope_offline_access: "Keep access while you are away, until you withdraw it",
        scope_default: "Do everything there that this application is set up for",
        scope_other: Phrase("Use “{}”"),
    },
    select: SelectTexts { title: "Choose an account" },
    device: DeviceTexts {
        title: "Connect a device",
        enter: "Enter the code that your device shows.",
        compare: "Check that your device shows this code.",
        code: "Code",
        wrong: "No device waits with this code. Look at your device again: a code ends after 15 minutes.",
        throttled: "There were too many wrong codes. Wait five minutes, then try again.",
        your_device: "your device",
        check: Phrase(
            "Go on only if you asked for it yourself just now, and your device shows {}. A code that somebody \
                       sent you is theirs.",
        ),
        afterwards: "Afterwards go back to your device.",
        done_title: "Your device is connected",
        done: Phrase("{} can use your account there. You can close this page and go back to your device."),
        denied_title: "Your device is not connected",
        denied: Phrase("{} was given no access. You can close this page."),
    },
    form_post: FormPostTexts {
        title: "Nearly there",
        explanation: "You are being sent back to the application. If nothing happens, continue yourself.",
    },
    error: ErrorTexts {
        title: "This did not work",
        title_not_found: "There is nothing here",
        title_unavailable: "The service is not available",
        details: "Details",
        details_for: "Whoever looks after the application or this server will ask for these.",
        error: "Error",
        code: "Code",
        trace_id: "Trace ID",
        timestamp: "Time",
        hint_application: "Go back to the application and start again. If it happens again, tell the people who run \
                           the application.",
        hint_retry: "Wait a moment, then try again.",
    },
    logout: LogoutTexts {
        title: "Sign out?",
        explanation: "Applications that you use may ask you to sign in again.",
        logout: "Sign out",
        done_title: "You are signed out",
        done: "On a shared computer, close the browser as well.",
    },
    account: AccountTexts {
        title: "Your account",
        username: "Username",
        display_name: "Name",
        email: "E-mail",
        logout: "Sign out",
        sessions: "Where you are signed in",
        sessions_empty: "You are not signed in anywhere else.",
        session_current: "This browser",
        session_address: Phrase("Address {}"),
        session_since: Phrase("Signed in {}"),
        session_seen: Phrase("Last used {}"),
        session_end: "Sign out",
        session_end_named: Phrase("Sign out: {}"),
        session_ended: "That browser is signed out.",
        session_unknown_device: "Unknown browser",
        session_on: " on ",
        consents: "Applications with access",
        consents_empty: "You have not given any application access to your account.",
        consent_since: Phrase("Since {}"),
        consent_withdraw: "Withdraw access",
        consent_withdraw_named: Phrase("Withdraw access: {}"),
        consent_withdrawn: "The application has no access any more.",
        groups: "Groups you own",
        groups_empty: "You do not own a group.",
        group_members: english_members,
    },
    group: GroupTexts {
        label: "Group",
        back: "Your account",
        members: "Members",
        members_empty: "This group has no members yet.",
        members_more: "There are more members than are shown here. The command line lists them all.",
        kind_user: "User",
        kind_client: "Application",
        kind_group: "Group",
        remove: "Remove",
        remove_named: Phrase("Remove: {}"),
        add_title: "Add a member",
        add_kind: "Who",
        add_name: "Name",
        add_hint: "The username of a user, or the ID of an application.",
        add: "Add member",
        added: Phrase("{} is now a member."),
        removed: Phrase("{} is no longer a member."),
        unknown_user: Phrase("There is no user “{}”."),
        unknown_client: Phrase("There is no application “{}”."),
        already_member: Phrase("{} is a member already."),
        name_missing: "Enter a name.",
    },
};

fn english_members(count: usize) -> String {
    match count {
        0 => "No members".to_owned(),
        1 => "1 member".to_owned(),
        _ if i64::try_from(count).is_ok_and(|count| count <= COUNTED) => format!("{count} members"),
        _ => format!("More than {COUNTED} members"),
    }
}
