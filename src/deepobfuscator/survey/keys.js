// Keys 1 to 4 and the arrows choose, Enter goes on. All else works without this script.
const form = document.getElementById("question");
const choices = [...form.elements.choice];
form.querySelector(".hint").hidden = false;

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const chosen = choices.findIndex((choice) => choice.checked);
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  const number = "1234".indexOf(event.key);
  if (event.key.length === 1 && number >= 0) choose(number);
  else if (step) choose(chosen < 0 ? (step > 0 ? 0 : 3) : (chosen + step + 4) % 4);
  else if (event.key === "Enter" && event.target === document.body && chosen >= 0) form.requestSubmit();
  else return;
  event.preventDefault();
});

function choose(number) {
  choices[number].checked = true;
  choices[number].focus();
}
