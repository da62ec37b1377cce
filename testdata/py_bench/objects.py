"""Classes: methods, attributes, inheritance, properties, super, special methods."""
import sys


class Vector:
    def __init__(self, x, y):
        self.x = x
        self.y = y

    def __add__(self, other):
        return Vector(self.x + other.x, self.y + other.y)

    def dot(self, other):
        return self.x * other.x + self.y * other.y


class Account:
    rate = 3

    def __init__(self, name):
        self.name = name
        self._balance = 0
        self.log = 0

    @property
    def balance(self):
        return self._balance

    def deposit(self, amount):
        self._balance += amount
        self.note()
        return self

    def note(self):
        self.log += 1

    def __len__(self):
        return self.log


class Savings(Account):
    def __init__(self, name, bonus=2):
        super().__init__(name)
        self.bonus = bonus

    def deposit(self, amount):
        super().deposit(amount + self.bonus)
        return self

    @classmethod
    def open(cls, name):
        return cls(name)

    @staticmethod
    def fee(amount):
        return amount // 100


def main(n):
    v = Vector(0, 0)
    step = Vector(1, 2)
    total = 0
    for _ in range(n):
        v = v + step
        total += v.dot(step) & 3
    accounts = [Account("a"), Savings("b"), Savings.open("c")]
    for i in range(n):
        account = accounts[i % 3]
        account.deposit(i & 7).deposit(1)
        total += account.balance & 1
        total += account.rate + Savings.fee(i)
    return total, v.x, v.y, [len(a) for a in accounts], [a.balance for a in accounts]


print(*main(int(sys.argv[1]) if len(sys.argv) > 1 else 200000))
