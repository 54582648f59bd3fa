//! The five roles and what each may do. Nobody has a role that was not given to him, and no role contains another by
//! name: this table is all there is.

use lethe_proto::access::{Permission, Role};

/// Every role there is.
pub const ROLES: [Role; 5] = [Role::Owner, Role::Admin, Role::Agent, Role::PrivacyOfficer, Role::Auditor];

/// What a role may do.
pub const fn permissions(role: Role) -> &'static [Permission] {
    use Permission as P;
    match role {
        Role::Unspecified => &[],
        Role::Owner => &[
            P::OwnAccount,
            P::ReadInbox,
            P::Send,
            P::Edit,
            P::UserData,
            P::Erase,
            P::ReadErasures,
            P::AppSettings,
            P::Billing,
            P::Members,
            P::ReadAudit,
            P::ApiKeys,
            P::Holds,
        ],
        Role::Admin => &[
            P::OwnAccount,
            P::ReadInbox,
            P::Send,
            P::Edit,
            P::UserData,
            P::Erase,
            P::ReadErasures,
            P::AppSettings,
            P::Members,
            P::ReadAudit,
            P::ApiKeys,
        ],
        Role::Agent => &[P::OwnAccount, P::ReadInbox, P::Send, P::Edit, P::UserData],
        Role::PrivacyOfficer => {
            &[P::OwnAccount, P::ReadInbox, P::UserData, P::Erase, P::ReadErasures, P::ReadAudit, P::Holds]
        }
        Role::Auditor => &[P::OwnAccount, P::ReadErasures, P::ReadAudit],
    }
}

/// Whether one of `roles` has `permission`. One's own account is everybody's, roles or not: a member with a one-time
/// password has none, and must change it.
pub fn allows(roles: &[Role], permission: Permission) -> bool {
    match permission {
        Permission::Unspecified => false,
        Permission::OwnAccount => true,
        _ => roles.iter().any(|role| permissions(*role).contains(&permission)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by hand from the mission, not from the table above.
    #[test]
    fn each_role_may_do_what_it_is_for() {
        use Permission as P;
        let all = [
            P::OwnAccount,
            P::ReadInbox,
            P::Send,
            P::Edit,
            P::UserData,
            P::Erase,
            P::ReadErasures,
            P::AppSettings,
            P::Billing,
            P::Members,
            P::ReadAudit,
            P::ApiKeys,
            P::Holds,
        ];
        for (role, answers) in [
            (Role::Owner, "yyyyyyyyyyyyy"),
            (Role::Admin, "yyyyyyyynyyyn"),
            (Role::Agent, "yyyyynnnnnnnn"),
            (Role::PrivacyOfficer, "yynnyyynnnyny"),
            (Role::Auditor, "ynnnnnynnnynn"),
            (Role::Unspecified, "ynnnnnnnnnnnn"),
        ] {
            let got: String =
                all.iter().map(|permission| if allows(&[role], *permission) { 'y' } else { 'n' }).collect();
            assert_eq!(got, answers, "{role:?}");
            assert!(!allows(&[role], P::Unspecified));
        }
        assert!(allows(&[], P::OwnAccount) && !allows(&[], P::ReadInbox));
        assert!(allows(&[Role::Auditor, Role::Agent], P::Send), "roles add up");
    }
}
