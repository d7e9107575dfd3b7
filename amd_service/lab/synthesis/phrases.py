"""Phrases that people and machines say in the first seconds of a call, by language.

`{name}`, `{company}`, `{number}`, `{time}` are slots that `utterances.py` fills. All sentences were written for this
project. The keys of a book: `opening` is said by people and machines, `answer` and `business` by people, `follow` by
people who wait for the caller to speak, `greeting` by machines.
"""

from collections.abc import Mapping

Book = Mapping[str, tuple[str, ...]]

NAMES = ("Anna", "Tom", "Maria", "Peter", "Laura", "David", "Nina", "Oscar", "Julia", "Martin", "Elena", "Victor",
         "Sarah", "Daniel", "Irene", "Paul")  # fmt: skip
COMPANIES = ("Acme", "Northwind", "Blue River", "Contoso", "Globex", "Harbor Dental", "Sunrise Travel", "Delta Motors",
             "Green Valley", "Orion Systems", "Main Street Bakery", "Pine Tree Insurance")  # fmt: skip

_ENGLISH: Book = {
    "opening": ("Hello.", "Hi.", "Hello, this is {name}.", "Hi, this is {name}.", "Good morning.", "Good afternoon.",
                "Hey.", "Hi there.", "{name}.", "{company}.", "Thank you for calling {company}.", "Hello, hello."),
    "answer": ("Hello?", "Hello?", "Yes?", "Hi?", "Hey, what's up?", "Yeah?", "Hello, who is this?", "Speaking.",
               "Hello, {name} speaking.", "This is {name}.", "Yes, hello?", "{name} here.", "Hello? Hello?",
               "Hi, {name} here.", "Good morning?", "Hey, how are you?", "Yep?", "Hello, is that {name}?",
               "Yes, who's calling?", "Hang on a second.", "Hello, can I help you?"),
    "business": ("Good morning, {company}, {name} speaking, how can I help you?",
                 "{company} support, this is {name}, how can I help?",
                 "Thanks for calling {company}, this is {name}. What can I do for you today?",
                 "Hello, {company}, how may I direct your call?",
                 "Thank you for calling {company}, my name is {name}, how may I help you?",
                 "Front desk, {name} speaking, how can I help you?",
                 "Good afternoon, {company}, who would you like to speak to?",
                 "Hello, you're speaking with {name} at {company}, what can I do for you?",
                 "{company} customer service, {name} here, may I have your account number please?",
                 "Hi, thanks for calling, this is {name}, what are you looking for today?",
                 "Sorry, I was just going out, who is this please?",
                 "Yes hello, {name} speaking, who am I talking to?"),
    "follow": ("Hello?", "Who is this?", "Can you hear me?", "Yes?", "Anybody there?", "Hello, hello?",
               "How can I help?",
               "I can't hear you.", "Who's calling please?", "Okay.", "Yes, that's me."),
    "greeting": (
        "The person you are calling is not available. Please leave a message after the tone.",
        "Your call has been forwarded to an automated voice messaging system. {number} is not available.",
        "Hi, you've reached {name}. I can't take your call right now. Please leave your name and number.",
        "Hello. You've reached {name} at {company}. I'm away from my desk, please leave a message after the beep.",
        "Hi, this is {name}. Sorry I missed your call. Leave me a message and I'll call you back.",
        "You have reached the voice mailbox of {number}. Please record your message after the tone.",
        "You've reached the voicemail of {name}. Please leave your name, number and a short message.",
        "Hey, it's {name}. I'm not here right now, so leave a message after the beep.",
        "The subscriber you have dialed is not in service at this time. Please try again later.",
        "We're sorry, no one is available to take your call. At the tone, please record your message.",
        "Hello, you have reached {company}. Our office is closed. Our hours are {time} to five, Monday to Friday.",
        "Thank you for calling {company}. All of our agents are busy. Please leave a "
        "message and we will return your call.",
        "The number you have reached, {number}, is not available. Please leave a message.",
        "Hello, this is {name}. I'm either in a meeting or on another call. Please leave a message.",
        "The wireless customer you are calling is unavailable. Please leave your message after the tone.",
        "{number} is not available. At the tone, please record your message. When you are finished, hang up.",
        "Hi, this is the answering machine of {name}. Please speak after the tone.",
        "Please leave your message for {number} after the tone.",
        "Good morning, this is {name} from {company}. I am out of the office and will be back at {time}.",
        "You've reached {name}, leave a message.",
        "Hello, you're through to {company}. No one can take your call, please leave your details after the beep.",
        "Sorry, I can't come to the phone right now. Leave a message.",
        "The mailbox is full and cannot accept any messages at this time. Goodbye.",
    ),
}  # fmt: skip

_SPANISH: Book = {
    "opening": ("Hola.", "Buenos días.", "Hola, soy {name}.", "Buenas tardes.", "{company}."),
    "answer": ("¿Dígame?", "¿Sí?", "¿Hola?", "¿Aló?", "¿Bueno?", "¿Diga?", "¿Quién es?", "Sí, soy yo.",
               "¿Quién habla?"),
    "business": ("Buenos días, {company}, le atiende {name}, ¿en qué puedo ayudarle?",
                 "{company}, buenas tardes, ¿con quién quiere hablar?",
                 "Gracias por llamar a {company}, mi nombre es {name}, ¿qué desea?"),
    "follow": ("¿Hola?", "¿Me oye?", "¿Quién es?", "No le oigo."),
    "greeting": ("El teléfono al que llama está apagado o fuera de cobertura. Deje su mensaje después de la señal.",
                 "Hola, soy {name}. Ahora no puedo atenderte. Deja un mensaje y te llamaré.",
                 "Ha llamado al buzón de voz del número {number}. Grabe su mensaje después del tono.",
                 "Hola. Este es el contestador de {name}. Por favor, deje su nombre y su número.",
                 "Gracias por llamar a {company}. Nuestras oficinas están cerradas. Deje su mensaje."),
}  # fmt: skip

_GERMAN: Book = {
    "opening": ("Hallo.", "Guten Tag.", "Hallo, hier ist {name}.", "Guten Morgen.", "{name}.", "{company}."),
    "answer": ("Hallo?", "Ja?", "Ja, bitte?", "Ja, hallo?", "{name}?", "Wer ist da?", "Am Apparat.",
               "Ja, {name} hier?"),
    "business": ("{company}, guten Tag, mein Name ist {name}, was kann ich für Sie tun?",
                 "Guten Morgen, {company}, {name} am Apparat, wie kann ich helfen?",
                 "Praxis {name}, guten Tag, worum geht es bitte?"),
    "follow": ("Hallo?", "Wer ist denn da?", "Können Sie mich hören?", "Ja, bitte?"),
    "greeting": ("Der gewünschte Gesprächspartner ist zur Zeit nicht erreichbar. Bitte sprechen "
                 "Sie nach dem Signalton.",
                 "Hallo, hier ist die Mailbox von {name}. Bitte hinterlassen Sie eine Nachricht nach dem Ton.",
                 "Guten Tag. Sie sind verbunden mit {company}. Leider rufen Sie außerhalb der Geschäftszeiten an.",
                 "Hallo, hier ist {name}. Ich bin gerade nicht da, sprechen Sie mir bitte aufs Band.",
                 "Dies ist die Mailbox der Rufnummer {number}. Bitte sprechen Sie nach dem Ton."),
}  # fmt: skip

_FRENCH: Book = {
    "opening": ("Bonjour.", "Allô.", "Bonjour, ici {name}.", "Bonsoir.", "{company}."),
    "answer": ("Allô?", "Oui?", "Oui, allô?", "Allô, oui?", "Qui est à l'appareil?", "Oui, c'est moi.",
               "Oui, bonjour?"),
    "business": ("{company} bonjour, {name} à votre service, que puis-je faire pour vous?",
                 "Bonjour, société {company}, qui demandez-vous?",
                 "Cabinet {name}, bonjour, c'est à quel sujet?"),
    "follow": ("Allô?", "Vous m'entendez?", "Qui est-ce?", "Oui?"),
    "greeting": ("Votre correspondant n'est pas disponible. Veuillez laisser un message après le signal sonore.",
                 "Bonjour, vous êtes bien sur le répondeur de {name}. Laissez-moi un message et je vous rappellerai.",
                 "Bonjour. Vous êtes sur la messagerie vocale du {number}. Merci de laisser votre message.",
                 "Bonjour, ici {name}. Je ne suis pas là pour le moment, laissez un message après le bip.",
                 "{company}, bonjour. Nos bureaux sont actuellement fermés, merci de rappeler plus tard."),
}  # fmt: skip

_ITALIAN: Book = {
    "opening": ("Ciao.", "Buongiorno.", "Ciao, sono {name}.", "Buonasera.", "{company}."),
    "answer": ("Pronto?", "Sì?", "Pronto, chi parla?", "Sì, pronto?", "Chi è?", "Sono io."),
    "business": ("{company}, buongiorno, sono {name}, come posso aiutarla?",
                 "Buongiorno, studio {name}, con chi vuole parlare?"),
    "follow": ("Pronto?", "Mi sente?", "Chi parla?"),
    "greeting": ("Il cliente da lei chiamato non è al momento raggiungibile. Lasci un messaggio "
                 "dopo il segnale acustico.",
                 "Ciao, sono {name}. In questo momento non posso rispondere, lascia un messaggio.",
                 "Buongiorno. Questa è la segreteria telefonica di {company}. Lasciate un messaggio dopo il tono."),
}  # fmt: skip

_PORTUGUESE: Book = {
    "opening": ("Olá.", "Bom dia.", "Olá, aqui é {name}.", "Boa tarde.", "{company}."),
    "answer": ("Alô?", "Sim?", "Alô, quem fala?", "Oi?", "Está lá?", "Sou eu."),
    "business": ("{company}, bom dia, {name} falando, em que posso ajudar?",
                 "Boa tarde, {company}, com quem deseja falar?"),
    "follow": ("Alô?", "Está me ouvindo?", "Quem é?"),
    "greeting": ("O número chamado não está disponível. Deixe a sua mensagem após o sinal.",
                 "Olá, você ligou para {name}. Não posso atender agora, deixe o seu recado após o bipe.",
                 "Sua chamada está sendo encaminhada para a caixa postal. Grave a sua mensagem."),
}  # fmt: skip

_DUTCH: Book = {
    "opening": ("Hallo.", "Goedemorgen.", "Hallo, met {name}.", "Goedemiddag.", "{company}."),
    "answer": ("Hallo?", "Ja?", "Met {name}?", "Ja, hallo?", "Wie is daar?", "Daar spreekt u mee."),
    "business": ("Goedemorgen, {company}, u spreekt met {name}, waarmee kan ik u helpen?",
                 "{company}, goedemiddag, met wie wilt u spreken?"),
    "follow": ("Hallo?", "Hoort u mij?", "Met wie spreek ik?"),
    "greeting": ("De persoon die u belt is niet bereikbaar. Spreek uw bericht in na de toon.",
                 "Hallo, dit is de voicemail van {name}. Ik kan nu niet opnemen, spreek een bericht in.",
                 "Goedendag. U bent verbonden met {company}. Ons kantoor is op dit moment gesloten."),
}  # fmt: skip

_POLISH: Book = {
    "opening": ("Dzień dobry.", "Halo.", "Cześć, tu {name}.", "{company}."),
    "answer": ("Halo?", "Tak?", "Słucham?", "Halo, kto mówi?", "Tak, słucham?", "Przy telefonie."),
    "business": ("Dzień dobry, {company}, przy telefonie {name}, w czym mogę pomóc?",
                 "{company}, słucham, z kim mam połączyć?"),
    "follow": ("Halo?", "Słyszy mnie pan?", "Kto mówi?"),
    "greeting": ("Abonent jest czasowo niedostępny. Prosimy zostawić wiadomość po usłyszeniu sygnału.",
                 "Cześć, tu {name}. Nie mogę teraz odebrać, zostaw wiadomość po sygnale.",
                 "Dodzwoniłeś się na pocztę głosową numeru {number}. Nagraj wiadomość."),
}  # fmt: skip

BOOKS: Mapping[str, Book] = {
    "en": _ENGLISH,
    "es": _SPANISH,
    "de": _GERMAN,
    "fr": _FRENCH,
    "it": _ITALIAN,
    "pt": _PORTUGUESE,
    "nl": _DUTCH,
    "pl": _POLISH,
}
