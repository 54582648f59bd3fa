//! The words for STOP and START by language (ISO 639-3): what providers of messaging prescribe, and what people write
//! who want to be left alone. A word that is common as an answer to a question ("yes", "no", "end") is not here.

type Words = (&'static str, &'static [&'static str], &'static [&'static str]);

/// Language, words for STOP, words for START.
pub(super) const WORDS: &[Words] = &[
    (
        "eng",
        &["stop", "stop all", "stopall", "unsubscribe", "opt out", "optout", "quit", "cancel", "revoke"],
        &["start", "unstop", "subscribe", "opt in", "optin"],
    ),
    (
        "deu",
        &["stopp", "abmelden", "abbestellen", "austragen", "widerruf"],
        &["anmelden", "starten", "eintragen"],
    ),
    (
        "fra",
        &["arrêt", "arrêter", "arrêtez", "désabonner", "désinscrire", "désinscription", "stopper"],
        &["abonner", "démarrer", "inscription", "reprendre"],
    ),
    (
        "spa",
        &["parar", "pare", "baja", "cancelar suscripción", "darse de baja", "detener"],
        &["empezar", "comenzar", "iniciar", "suscribirse"],
    ),
    (
        "ita",
        &["ferma", "fermare", "disiscrivimi", "annulla iscrizione", "cancellami", "basta"],
        &["inizia", "avvia", "iscrivimi"],
    ),
    (
        "por",
        &["sair", "descadastrar", "cancelar inscrição", "remover", "pare de enviar"],
        &["começar", "inscrever", "retomar", "cadastrar"],
    ),
    ("nld", &["stoppen", "afmelden", "uitschrijven"], &["aanmelden", "inschrijven", "beginnen"]),
    ("pol", &["zatrzymaj", "wypisz", "rezygnuję", "wypisz mnie"], &["zacznij", "zapisz", "zapisz mnie"]),
    ("ces", &["zastavit", "odhlásit", "konec odběru"], &["začít", "přihlásit"]),
    (
        "hun",
        &["leállítás", "leiratkozás", "leiratkozom", "állj"],
        &["indítás", "feliratkozás", "feliratkozom"],
    ),
    ("fin", &["lopeta", "peruuta tilaus"], &["aloita", "tilaa"]),
    ("swe", &["stoppa", "avsluta", "avregistrera", "sluta"], &["starta", "börja", "registrera"]),
    ("dan", &["afmeld", "afslut"], &["tilmeld", "begynd"]),
    ("nob", &["avslutt", "meld av", "avmeld"], &["meld på", "påmeld"]),
    ("ron", &["oprește", "dezabonare", "opriți"], &["începe", "abonare", "pornește"]),
    (
        "rus",
        &["стоп", "отписаться", "отписка", "остановить", "отпишите"],
        &["старт", "подписаться", "возобновить"],
    ),
    ("ukr", &["відписатися", "зупинити", "відписка", "стій"], &["підписатися", "почати", "відновити"]),
    ("bul", &["спри", "отписване"], &["започни", "абониране"]),
    ("srp", &["заустави", "odjava", "одјава"], &["пријава", "prijava"]),
    ("ell", &["στοπ", "διακοπή", "διαγραφή", "σταμάτα", "σταματήστε"], &["έναρξη", "εγγραφή", "ξεκίνα"]),
    ("tur", &["durdur", "iptal", "abonelikten çık"], &["başla", "başlat", "abone ol"]),
    ("kat", &["სტოპ", "შეჩერება", "გამოწერის გაუქმება", "შეწყვიტე"], &["სტარტი", "დაწყება", "გამოწერა"]),
    ("hye", &["դադարեցնել", "կանգ"], &["սկսել", "բաժանորդագրվել"]),
    (
        "arb",
        &["توقف", "قف", "إيقاف", "إلغاء", "إلغاء الاشتراك", "أوقف", "ستوب"],
        &["ابدأ", "بدء", "اشتراك", "اشترك"],
    ),
    ("heb", &["עצור", "הסר", "הסרה", "הפסק", "סטופ"], &["התחל", "הצטרף", "הרשמה"]),
    ("pes", &["لغو", "توقف کن", "لغو اشتراک", "بس کن", "ایست"], &["شروع", "اشتراک", "عضویت"]),
    ("urd", &["روکو", "بند کرو", "رکنیت ختم"], &["شروع کرو", "رکنیت"]),
    ("hin", &["रोकें", "रोको", "बंद करें", "बंद करो", "स्टॉप", "सदस्यता समाप्त"], &["शुरू", "शुरू करें", "शुरू करो", "स्टार्ट"]),
    ("ben", &["বন্ধ", "বন্ধ করুন", "থামুন", "থামান", "স্টপ"], &["শুরু", "শুরু করুন", "চালু করুন", "স্টার্ট"]),
    ("tam", &["நிறுத்து", "நிறுத்தவும்", "நிறுத்துங்கள்", "ஸ்டாப்"], &["தொடங்கு", "தொடங்கவும்", "ஸ்டார்ட்"]),
    ("tha", &["หยุด", "ยกเลิก", "เลิก", "ยกเลิกการรับ", "สต็อป"], &["เริ่ม", "เริ่มต้น", "สมัคร", "รับข่าวสาร"]),
    ("vie", &["dừng", "dừng lại", "ngừng", "hủy", "huỷ", "hủy đăng ký", "từ chối"], &["bắt đầu", "đăng ký"]),
    (
        "cmn",
        &["停止", "停", "退订", "退訂", "取消订阅", "取消訂閱", "不要再发", "td"],
        &["开始", "開始", "订阅", "訂閱", "恢复"],
    ),
    (
        "jpn",
        &["ストップ", "中止", "配信停止", "やめて", "解除", "登録解除", "止めて"],
        &["スタート", "再開", "登録", "配信開始"],
    ),
    (
        "kor",
        &["중지", "정지", "수신거부", "수신 거부", "거부", "그만", "스톱", "구독취소", "구독 취소"],
        &["시작", "재개", "수신동의", "수신 동의", "구독"],
    ),
    ("ind", &["berhenti", "batal", "henti", "berhenti langganan"], &["mulai", "langganan", "lanjutkan"]),
    ("msa", &["hentikan", "nyahlanggan"], &["langgan"]),
    ("swh", &["simama", "sitisha", "jiondoe"], &["anza", "jiunge", "endelea"]),
    ("amh", &["አቁም", "አቁሙ", "ይቁም", "ሰርዝ"], &["ጀምር", "ጀምሩ", "ይጀምር", "ተመዝገብ"]),
];
