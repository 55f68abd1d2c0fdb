use std::sync::LazyLock;

use rustc_hash::FxHashSet;

use crate::Language;
use crate::stem::lower;

/// Whether a word only serves the grammar, in any case of letters.
pub fn is_stop_word(language: Language, word: &str) -> bool {
    let list = match language {
        Language::German => &*GERMAN,
        Language::English => &*ENGLISH,
    };
    list.contains(&*lower(word))
}

type List = LazyLock<FxHashSet<&'static str>>;

static GERMAN: List = LazyLock::new(|| GERMAN_WORDS.split_whitespace().collect());
static ENGLISH: List = LazyLock::new(|| ENGLISH_WORDS.split_whitespace().collect());

const GERMAN_WORDS: &str = "
    der die das den dem des ein eine einen einem einer eines kein keine keinen keinem keiner keines
    dieser diese dieses diesen diesem jener jene jenes jenen jenem jeder jede jedes jeden jedem
    mancher manche manches manchen solcher solche solches solchen welcher welche welches welchen welchem
    ich du er sie es wir ihr mich dich sich uns euch mir dir ihm ihn ihnen man selbst selber
    mein meine meinen meinem meiner meines dein deine deinen deinem deiner sein seine seinen seinem seiner seines
    ihre ihren ihrem ihrer ihres unser unsere unseren unserem unserer euer eure euren eurem eurer
    deren dessen derer denen derjenige diejenige dasjenige diejenigen derselbe dieselbe dasselbe
    und oder aber sondern denn doch sowie sowohl weder noch als wie wenn weil da dass daß ob obwohl während
    bevor nachdem bis seit damit sodass indem falls sobald solange
    in im ins an am ans auf aufs aus bei beim mit nach von vom vor zu zum zur über unter um durch für gegen ohne
    hinter neben zwischen trotz wegen innerhalb außerhalb entlang gegenüber ab statt laut pro je
    nicht nichts nie niemals nur auch schon sehr mehr meist so dann hier dort da dabei dadurch dafür dagegen daher
    dahin damals danach daneben daran darauf daraus darin darüber darum darunter davon davor dazu
    hin her heraus herein hinaus hinein jedoch dennoch trotzdem also etwa eben einmal immer wieder zwar bereits
    gar ganz ja nein bitte etwas einige einigen einiger einiges alle allen aller alles allem andere anderen anderer
    anderes anderem beide beiden beider viel viele vielen vieler wenig wenige
    wer wen wem wessen was wann wo woher wohin warum wieso weshalb womit wodurch wofür wovon worin woran worauf
    ist sind war waren bin bist seid sei seien wäre wären gewesen hat haben habe hatte hatten hätte hätten gehabt
    wird werden wurde wurden worden werde würde würden geworden kann können konnte konnten könnte könnten
    muss muß müssen musste mussten müsste soll sollen sollte sollten will wollen wollte wollten darf dürfen durfte
    mag mögen möchte möchten lassen ließ
    bzw usw etc z b d h u a
";

const ENGLISH_WORDS: &str = "
    the a an this that these those such each every either neither both all any some no none few more most other
    another own same several many much less least
    i you he she it we they me him her us them my your his its our their mine yours hers ours theirs
    myself yourself himself herself itself ourselves yourselves themselves one ones
    who whom whose which what when where why how
    and or but nor so yet for because although though while whereas if unless until than as since whether
    of in on at by with about against between into through during before after above below to from up down out off
    over under within without along across behind beyond among upon toward towards per via
    not only also too very just even still again further then once here there now ever never always often
    however therefore thus hence
    am is are was were be been being have has had having do does did doing done will would shall should can could
    may might must ought cannot
    isn't aren't wasn't weren't hasn't haven't hadn't doesn't don't didn't won't wouldn't can't couldn't shouldn't
    i'm you're he's she's it's we're they're i've you've we've they've i'd you'd he'd she'd we'd they'd i'll you'll
    he'll she'll we'll they'll that's there's who's what's let's
    etc e g s t ll ve re d m
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_apostrophes_do_not_matter() {
        assert!(is_stop_word(Language::German, "Über"));
        assert!(is_stop_word(Language::English, "Don’t"));
        assert!(!is_stop_word(Language::English, "über"));
        assert!(!is_stop_word(Language::German, "Haus"));
    }
}
