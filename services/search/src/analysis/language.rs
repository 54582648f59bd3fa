//! Which language a text is written in, as far as stems go, and the stem of a word in it.
//!
//! A language gives itself away by its smallest words. Those that a text has most of are counted for each language of
//! the script; the leading ones, or all of them when a short text has none, are taken for its languages; a long one
//! without any is no prose, and costs no stems. So a text may have stems of several, which are kept apart by a tag: a stem is only found by the same stem of the same language. A
//! query is taken for every language at once. Languages without a stemmer stand here too: what is theirs is left alone.

use std::{collections::HashMap, sync::LazyLock};

use frostem::{Algorithm, Stemmer};
use unicode_normalization::char::is_combining_mark;

use super::{fold, without_marks};

/// Shorter words have no stem. In characters.
const SHORTEST: usize = 3;
/// From so many words on a text has some of its language's smallest, if it is written in one that we know.
const LONG: u32 = 24;

/// A set of languages: bit `i` is `LANGUAGES[i]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Languages(u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Script {
    Latin,
    Cyrillic,
    Greek,
    Arabic,
    Devanagari,
    Tamil,
    Armenian,
}

const SCRIPTS: [Script; 7] = [
    Script::Latin,
    Script::Cyrillic,
    Script::Greek,
    Script::Arabic,
    Script::Devanagari,
    Script::Tamil,
    Script::Armenian,
];

struct Language {
    /// ISO 639-1, before the colon of its stems. Must never be given to another language.
    tag: &'static str,
    script: Script,
    algorithm: Option<Algorithm>,
    /// Its smallest words; marks do not count.
    words: &'static str,
}

const fn language(
    tag: &'static str,
    script: Script,
    algorithm: Option<Algorithm>,
    words: &'static str,
) -> Language {
    Language { tag, script, algorithm, words }
}

#[rustfmt::skip]
const LANGUAGES: [Language; 35] = [
    language("en", Script::Latin, Some(Algorithm::English), "the a an and or of to in on at is are was were be been am i you he she it we they my your our me him her us them this that these those not do does did don have has had can could will would should what how why when where which who with for from by as but if so no yes any there thanks hi hello get"),
    language("de", Script::Latin, Some(Algorithm::German), "der die das und oder ist sind war ich du er sie es wir ihr nicht ein eine einen einem einer kein keine mein meine meinen mit von zu zum zur auf im in an am den dem des für bei aus nach wie was wann warum wo kann habe hat haben wird werden auch noch nur bitte danke dass wenn aber sich jeder"),
    language("fr", Script::Latin, Some(Algorithm::French), "le la les un une des du de et ou est sont était je tu il elle nous vous ils ne pas mon ma mes votre vos ce cette ces que qui quoi comment quand pourquoi avec pour dans sur par au aux en plus ai as a avez qu l d j bonjour merci toute tout"),
    language("es", Script::Latin, Some(Algorithm::Spanish), "el la los las un una unos de del y o es son era yo tú usted no mi mis su sus que como cuando donde por para con en al se lo le me te nos esta este esto ha he hay muy pero si gracias hola quiero toda tiene"),
    language("it", Script::Latin, Some(Algorithm::Italian), "il lo la i gli le un uno una di del della dei delle e o è sono era io tu lei noi non mio mia che come quando dove perché per con in su al alla da dal dalla si mi ti ci ho ha questo questa ma anche grazie ciao vorrei nel nella ogni"),
    language("pt", Script::Latin, Some(Algorithm::Portuguese), "o a os as um uma de do da dos das e ou é são era eu você não meu minha seu sua que como quando onde por para com em no na nos nas se me lhe este esta isso tem mas muito obrigado obrigada olá quero ao à toda"),
    language("nl", Script::Latin, Some(Algorithm::Dutch), "de het een en of is zijn was ik jij je u hij zij ze wij we niet geen mijn uw met van voor op in aan te om dat die dit deze hoe wat wanneer waar kan heb heeft hebben wordt worden ook nog maar als er bij naar door ieder"),
    language("sv", Script::Latin, Some(Algorithm::Swedish), "och eller att det den de en ett är var jag du han hon vi ni inte min mitt mina din med av till för på i om som hur vad när kan har hade ska ej sig ingen alla tack hej envar"),
    language("da", Script::Latin, Some(Algorithm::Danish), "og eller at det den de en et er var jeg du han hun vi i ikke min mit mine din med af til for på om som hvordan hvad hvornår hvor kan har havde skal sig ingen alle tak hej fra"),
    language("no", Script::Latin, Some(Algorithm::Norwegian), "og eller at det den de en et er var jeg du han hun vi ikke min mitt mine din med av til for på om som hvordan hva når hvor kan har hadde skal seg ingen alle takk hei fra"),
    language("fi", Script::Latin, Some(Algorithm::Finnish), "ja tai on ovat oli minä sinä hän me te he ei en et eivät minun sinun joka jotka se ne tämä että kun kuin miten mikä milloin missä voi voin olen ole mutta niin myös kaikki jos sen kiitos hei jokaisella"),
    language("hu", Script::Latin, Some(Algorithm::Hungarian), "a az és vagy van volt én te ő mi nem ne egy hogy mint mit mikor hol miért ez ezt azt is meg csak ha de kell lehet vagyok kérem köszönöm szia minden sem aki ami joga"),
    language("ro", Script::Latin, Some(Algorithm::Romanian), "și sau este sunt era eu tu el ea noi nu un o unei unui al a ale cu de la în pe pentru din ca să ce cum când unde care mea meu îmi am ai are va mai dar mulțumesc bună se orice"),
    language("tr", Script::Latin, Some(Algorithm::Turkish), "ve veya bir bu şu o ben sen biz siz değil için ile mi mu ne nasıl nerede neden var yok de da ki gibi kadar daha çok ama her olan olarak benim merhaba teşekkürler hiç herkes"),
    language("pl", Script::Latin, Some(Algorithm::Polish), "i lub jest są był ja ty on ona my nie mój moja moje z ze w we na do od po dla przez o jak co kiedy gdzie dlaczego czy to ten ta te się mam ma jego ich oraz ale tylko proszę dziękuję każdy"),
    language("cs", Script::Latin, Some(Algorithm::Czech), "a nebo je jsou byl já ty on ona my ne není můj moje s se si v ve na do od po pro při o jak co kdy kde proč že to ten ta který která mám má jeho jejich ale jen prosím děkuji každý aby"),
    language("id", Script::Latin, Some(Algorithm::Indonesian), "dan atau yang di ke dari untuk dengan ini itu saya anda kami kita dia tidak bukan ada adalah akan sudah bisa dapat pada oleh apa bagaimana kapan mana mengapa juga tetapi karena terima kasih tolong setiap"),
    language("et", Script::Latin, Some(Algorithm::Estonian), "ja või on oli ma mina sa sina ta meie ei minu sinu see need et kui kuidas mis millal kus ka oma aga siis ning tere palun aitäh iga kes ole"),
    language("lt", Script::Latin, Some(Algorithm::Lithuanian), "ir ar arba yra buvo aš tu jis ji mes ne mano tavo su iš į ant apie kad kaip ką kada kur kodėl tai šis ta bet tik labas ačiū prašau kiekvienas"),
    language("ca", Script::Latin, Some(Algorithm::Catalan), "el la els les un una de del dels i o és són jo tu no meu meva que com quan on per amb en al als se em et ens això aquest aquesta té ha hi molt però gràcies hola vull tot"),
    language("vi", Script::Latin, None, "và là của tôi không có người các mọi được cho trong với này một những hay thì mà đã bạn"),
    language("sw", Script::Latin, None, "na ya wa kwa ni la za katika kila mtu haki au yake cha watu hii kuwa si ana yeye wote kama"),
    language("ru", Script::Cyrillic, Some(Algorithm::Russian), "и или в на не что это как я мы вы он она они мой с по для из к у о об то за от же бы но да нет все при если есть был его каждый имеет"),
    language("sr", Script::Cyrillic, Some(Algorithm::Serbian), "и или у на не да је су сам ми ви он она они мој са за од по се што како али сви свако има"),
    language("uk", Script::Cyrillic, None, "і й та або в на не що це як я ми ви він вона вони мій з по для із до у про за від але так ні всі його має кожна"),
    language("bg", Script::Cyrillic, None, "и или в на не че това как аз ние вие той тя те от с по за да се ще са е всеки има"),
    language("el", Script::Greek, Some(Algorithm::Greek), "ο η το και"),
    language("ar", Script::Arabic, Some(Algorithm::Arabic), "في من على إلى أن هذا هذه التي الذي ما لا كل أو و عن مع هل كان لكل حق لي أنا أي له"),
    language("fa", Script::Arabic, Some(Algorithm::Persian), "و در به از که را این آن با است برای یا هر من شما نمی می هم تا چه حق دارد کس"),
    language("ur", Script::Arabic, None, "کے کا کی میں ہے اور سے کو نے پر کہ ہر حق"),
    language("hi", Script::Devanagari, Some(Algorithm::Hindi), "है हैं का के की को में से और या पर यह वह मैं नहीं कि ने एक हो भी था प्रत्येक"),
    language("ne", Script::Devanagari, Some(Algorithm::Nepali), "छ छन् को का र मा लाई हो यो त्यो म हुन्छ गर्न पनि प्रत्येक"),
    language("mr", Script::Devanagari, None, "आहे आणि च्या ची चे मी हे ते नाही व प्रत्येक"),
    language("ta", Script::Tamil, Some(Algorithm::Tamil), "ஒரு"),
    language("hy", Script::Armenian, Some(Algorithm::Armenian), "և"),
];

/// The languages whose smallest words these are.
static SMALL: LazyLock<HashMap<String, u64>> = LazyLock::new(|| {
    let mut small: HashMap<String, u64> = HashMap::new();
    for (at, language) in LANGUAGES.iter().enumerate() {
        for word in language.words.split(' ') {
            let folded: String = fold::fold(word).iter().map(|folded| folded.character).collect();
            *small.entry(unmarked(folded)).or_default() |= 1 << at;
        }
    }
    small
});

fn unmarked(word: String) -> String {
    without_marks(&word).unwrap_or(word)
}

impl Languages {
    /// Every language that has stems.
    pub(super) fn all() -> Self {
        let stemmed = LANGUAGES.iter().enumerate().filter(|(_, language)| language.algorithm.is_some());
        Self(stemmed.fold(0, |set, (at, _)| set | 1 << at))
    }

    /// The languages that a text with these folded words may be written in, for each script it has.
    pub(super) fn of<'a>(words: impl Iterator<Item = &'a str>) -> Self {
        let mut counts = [0_u32; LANGUAGES.len()];
        let mut scripts = [0; SCRIPTS.len()];
        for word in words {
            let Some(script) = script(word) else { continue };
            scripts[script as usize] += 1;
            let small = SMALL.get(without_marks(word).as_deref().unwrap_or(word)).copied().unwrap_or(0);
            for (at, language) in LANGUAGES.iter().enumerate() {
                let is_its_own = language.tag == "vi" && word.chars().any(is_vietnamese);
                counts[at] += u32::from(small >> at & 1 == 1 || is_its_own);
            }
        }
        let of_script =
            |script: Script| (0..LANGUAGES.len()).filter(move |&at| LANGUAGES[at].script == script);
        let mut set = 0;
        for script in SCRIPTS.into_iter().filter(|script| scripts[*script as usize] > 0) {
            let most = of_script(script).map(|at| counts[at]).max().unwrap_or(0);
            if most == 0 && scripts[script as usize] >= LONG {
                continue;
            }
            // Those within two thirds of the leading one: close relatives share most of their small words.
            let leading = of_script(script).filter(|&at| counts[at] * 3 >= most * 2);
            set |= leading.fold(0, |set, at| set | 1 << at);
        }
        Self(set)
    }

    /// The tagged stems of a folded word in these languages.
    pub(super) fn stems(self, word: &str) -> impl Iterator<Item = (usize, String)> {
        let script = script(word).filter(|_| is_inflected(word));
        let small = SMALL.get(without_marks(word).as_deref().unwrap_or(word)).copied().unwrap_or(0);
        let languages = script.map(|script| (script, self.0 & !small));
        languages.into_iter().flat_map(move |(script, set)| {
            LANGUAGES.iter().enumerate().filter_map(move |(at, language)| {
                let wanted = set >> at & 1 == 1 && language.script == script;
                let algorithm = language.algorithm.filter(|_| wanted)?;
                Some((at, format!("{}:{}", language.tag, stem(algorithm, word))))
            })
        })
    }
}

fn stem(algorithm: Algorithm, word: &str) -> String {
    let stemmer = Stemmer::new(algorithm);
    if algorithm == Algorithm::Arabic {
        // It knows the letters before they were folded into their Persian forms.
        let arabic: String = word
            .chars()
            .map(|c| match c {
                'ی' => 'ي',
                'ک' => 'ك',
                other => other,
            })
            .collect();
        return stemmer.stem(&arabic).into_owned();
    }
    stemmer.stem(word).into_owned()
}

/// Words with digits are numbers and codes, which mean what they say.
fn is_inflected(word: &str) -> bool {
    word.chars().filter(|c| !is_combining_mark(*c)).count() >= SHORTEST && !word.chars().any(char::is_numeric)
}

fn script(word: &str) -> Option<Script> {
    Some(match u32::from(word.chars().next()?) {
        0x41..=0x24f | 0x1e00..=0x1eff => Script::Latin,
        0x370..=0x3ff | 0x1f00..=0x1fff => Script::Greek,
        0x400..=0x52f => Script::Cyrillic,
        0x530..=0x58f => Script::Armenian,
        0x600..=0x6ff | 0x750..=0x77f => Script::Arabic,
        0x900..=0x97f => Script::Devanagari,
        0xb80..=0xbff => Script::Tamil,
        _ => return None,
    })
}

/// Letters that of all these languages only Vietnamese has.
fn is_vietnamese(character: char) -> bool {
    matches!(character, 'ơ' | 'ư' | '\u{1ea0}'..='\u{1ef9}')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn tags(text: &str) -> String {
        let words: Vec<String> =
            text.split_whitespace().map(|w| fold::fold(w).iter().map(|f| f.character).collect()).collect();
        let set = Languages::of(words.iter().map(String::as_str));
        let tags = LANGUAGES.iter().enumerate().filter(|(at, _)| set.0 >> at & 1 == 1);
        tags.map(|(_, language)| language.tag).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_text_gives_its_language_away_by_its_smallest_words() {
        // Others of its script may stand beside it in a short one.
        for (text, expected) in [
            ("I want to cancel my order", "en"),
            ("Ich möchte meine Bestellung stornieren", "de"),
            ("je voudrais annuler ma commande", "fr"),
            ("Ben siparişimi iptal etmek istiyorum çok", "tr"),
            ("Я хочу отменить мой заказ", "ru"),
            ("Tôi muốn hủy đơn hàng của tôi", "vi"),
            ("أريد إلغاء هذا الطلب من فضلك", "ar"),
            ("من می خواهم سفارش را لغو کنم", "fa"),
            ("मैं ऑर्डर रद्द करना चाहता हूँ है", "hi"),
        ] {
            let tags = tags(text);
            assert!(tags.split(' ').any(|tag| tag == expected) && tags.len() <= 8, "{text}: {tags}");
        }
        assert_eq!(tags("我想取消订单"), "");
        // Nothing to go by: any language of the script.
        assert!(tags("cancelled").split(' ').count() > 15);
        // A list, or rubbish: it would stand in the index in twenty languages.
        assert_eq!(tags(&"cancelled ".repeat(LONG as usize)), "");
    }

    #[test]
    fn no_two_languages_share_a_tag() {
        let tags: BTreeSet<&str> = LANGUAGES.iter().map(|language| language.tag).collect();
        assert_eq!(tags.len(), LANGUAGES.len());
    }

    #[test]
    fn codes_and_small_words_have_no_stem() {
        let stems = |word: &str| Languages::all().stems(word).map(|(_, stem)| stem).collect::<Vec<_>>();
        assert!(stems("cancelling").contains(&"en:cancel".to_owned()));
        assert_eq!(stems("orders4711"), [""; 0]);
        assert_eq!(stems("by"), [""; 0]);
        assert!(!stems("these").iter().any(|stem| stem.starts_with("en:")));
    }
}
