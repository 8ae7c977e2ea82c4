// New notices appear at the top of the list. The server has escaped what is in them.
const list = document.querySelector("[data-live]");
if (list) {
  new EventSource("/live").onmessage = (event) => {
    const holder = document.createElement("template");
    holder.innerHTML = event.data;
    const notice = holder.content.firstElementChild;
    if (!notice || document.getElementById(notice.id)) return;
    notice.classList.add("new");
    list.prepend(notice);
  };
}
